"""CPU work for a process pool: a square of the Mandelbrot set. Imported by child processes, so it imports nothing."""


def escape_counts(real: float, imaginary: float, span: float, size: int, iterations: int) -> list[list[int]]:
    """For each point of a `size` x `size` grid, the step z -> z² + c at which |z| exceeds 2; `iterations` if never.

    Args:
        real, imaginary: centre of the square.
        span: length of its side.
        size: points along a side, the first row at the top.
        iterations: steps to try at each point.

    Worked example: c = 0 never escapes; c = 1 gives z = 1, 2, 5: step 3.
    """
    step = span / size
    left, top = real - (span - step) / 2, imaginary + (span - step) / 2
    return [
        [_escape_count(complex(left + column * step, top - row * step), iterations) for column in range(size)]
        for row in range(size)
    ]


def _escape_count(point: complex, iterations: int) -> int:
    value = 0j
    for step in range(1, iterations + 1):
        value = value * value + point
        if value.real * value.real + value.imag * value.imag > 4.0:
            return step
    return iterations
