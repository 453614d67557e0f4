"""What the console remembers, and that it never remembers more than it may."""

import math
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.console.history import LONGEST_TROUBLE, MOST_DECISIONS, MOST_PODS, MOST_STEPS, Past
from paceline_operator.console.ring import DAY, FINE, MOST_BYTES, Ring, Sample
from paceline_operator.console.view import row_of
from paceline_operator.figures import Conclusion, PodFigures, PolicyFigures, Verdict
from paceline_operator.ports import PolicyKey


def ring_of(times: list[float]) -> Ring:
    ring = Ring()
    for at in times:
        ring = ring.with_sample(Sample(at, latency=at))
    return ring


@given(st.lists(st.floats(0.1, 4000), min_size=1, max_size=200))
def test_samples_stay_in_order_within_a_day_and_end_with_the_newest(gaps: list[float]) -> None:
    times = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    found = list(ring_of(times))
    assert [each.at for each in found] == sorted({each.at for each in found})
    assert found[0].at > times[-1] - DAY
    assert found[-1].at > times[-1] - FINE
    assert math.isclose(found[-1].latency, times[-1], rel_tol=1e-6)


def test_a_day_of_passes_a_second_apart_is_bounded_and_goes_back_a_day() -> None:
    ring = ring_of([float(at) for at in range(0, 26 * 3600, 2)])
    assert len(ring.fine) + len(ring.coarse) <= MOST_BYTES
    first, *_, last = ring
    assert last.at - first.at > DAY - 300


def test_passes_that_follow_each_other_faster_than_samples_do_not_put_one_off_for_ever() -> None:
    assert len(list(ring_of([at / 2 for at in range(200)]))) == 20


def figures(workers: int, **more: object) -> PolicyFigures:
    return PolicyFigures(values={"workers": workers}, recommended={"workers": workers}, **more)  # type: ignore[arg-type]


def change(text: str, *, applied: bool = True) -> Conclusion:
    return Conclusion("PoolWaitHigh", "because", (text,), applied=applied)


def test_values_are_remembered_as_they_change() -> None:
    past = Past()
    for at, workers in enumerate([1, 1, 2, 2, 2, 3]):
        past = past.after(figures(workers), 10.0 * at)
    assert [(step.at, step.values["workers"]) for step in past.steps] == [(0, 1), (20, 2), (50, 3)]


def test_what_held_a_day_ago_is_still_known_and_nothing_before_it() -> None:
    past = Past().after(figures(1), 0).after(figures(2), 100).after(figures(3), DAY + 200)
    assert [step.values["workers"] for step in past.steps] == [2, 3]


def test_a_pass_that_says_nothing_of_the_values_leaves_them() -> None:
    past = Past().after(figures(4), 0).after(PolicyFigures({"Ready": "False"}), 10)
    assert past.latest.values == {"workers": 4}
    assert len(past.steps) == 1


def test_a_verdict_goes_to_the_newest_change_of_its_reason() -> None:
    past = Past().after(figures(1, conclusion=change("a 1→2"), predicted_seconds=0.2), 0)
    past = past.after(figures(1, verdict=Verdict("PoolWaitHigh", "kept", 0.2, 0.21)), 10)
    past = past.after(figures(1, conclusion=change("a 2→3"), predicted_seconds=0.1), 20)
    past = past.after(figures(1, verdict=Verdict("PoolWaitHigh", "rolled_back", 0.1, 0.3)), 30)
    assert [(made.outcome, made.predicted, made.observed) for made in past.decisions] == [
        ("kept", 0.2, 0.21),
        ("rolled_back", 0.1, 0.3),
    ]


def test_the_same_recommendation_is_said_once_and_a_change_each_time() -> None:
    past = Past()
    for at in range(5):
        past = past.after(figures(1, conclusion=change("a 1→2", applied=False)), at)
    past = past.after(figures(1, conclusion=change("a 1→2")), 5).after(figures(1, conclusion=change("a 1→2")), 6)
    assert [(made.at, made.applied) for made in past.decisions] == [(0, False), (5, True), (6, True)]


def test_holds_are_no_decisions() -> None:
    assert Past().after(figures(1, conclusion=Conclusion("NoTraffic", "none")), 0).decisions == ()


def test_lists_are_bounded() -> None:
    past = Past()
    for at in range(MOST_STEPS + 5):
        past = past.after(figures(at, conclusion=change(f"a {at}→{at + 1}")), at)
    assert len(past.steps) == MOST_STEPS
    assert len(past.decisions) == MOST_DECISIONS
    assert past.decisions[-1].changes == (f"a {at}→{at + 1}",)


def test_steps_say_what_was_told_of_them() -> None:
    past = Past().after(PolicyFigures(values={"workers": 4, "cache.a": 0.1}, recommended={"workers": 5, "db": 7}), 1)
    (step,) = past.steps
    assert (step.values, step.recommended) == ({"workers": 4, "cache.a": 0.1}, {"workers": 5, "db": 7})


def test_the_pods_that_have_not_acked_are_remembered_first_and_no_more_than_are_shown() -> None:
    pods = tuple(PodFigures(f"api-{each:03}", 1, acked=each != 77, trouble="x" * 2000) for each in range(200))
    kept = Past().after(PolicyFigures(pods=200, each_pod=pods), 0).latest.each_pod or ()
    assert [pod.name for pod in kept] == ["api-077", *(f"api-{each:03}" for each in range(MOST_PODS - 1))]
    assert {len(pod.trouble) for pod in kept} == {LONGEST_TROUBLE}


def told(number: int) -> PolicyFigures:
    """A pass in which nothing is as it was, of a policy of eight values and a thousand pods."""
    values = {f"cache.products-{each}": float(number + each) for each in range(8)}
    changes = tuple(f"{name} {value:g}→{value + 1:g}" for name, value in [*values.items()][:4])
    pods = (PodFigures(f"api-7d9f5c-{number}-{each}", number, trouble=f"{number} {'×' * 500}") for each in range(1000))
    said = Conclusion("PoolWaitHigh", f"{number} → {'x' * 2000}", changes, number, True, f"{number:032}", 0.1 + number)
    return PolicyFigures(
        values=values,
        recommended={name: value + 1 for name, value in values.items()},
        latency={0.95: 0.1 + number},
        objective_seconds=0.2,
        predicted_seconds=0.3 + number,
        pods=1000,
        applied=number % 1000,
        conclusion=said,
        each_pod=tuple(pods),
    )


def size_of(value: object, seen: set[int]) -> int:
    """Bytes of a value and of all that hangs on it, each once."""
    if id(value) in seen or value is None or isinstance(value, type | bool):
        return 0
    seen.add(id(value))
    parts: list[object] = []
    if isinstance(value, Mapping):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, tuple):
        parts = [*value]
    elif is_dataclass(value):
        parts = [getattr(value, each.name) for each in fields(value)]
    return sys.getsizeof(value) + sum(size_of(part, seen) for part in parts)


def test_a_policy_takes_no_more_than_the_console_says() -> None:
    past = Past()
    for number in range(MOST_STEPS + 5):
        past = past.after(told(number), 1000.0 * number)
    seen: set[int] = set()
    most_of_the_ring = MOST_BYTES - len(past.ring.fine) - len(past.ring.coarse)
    row = size_of(row_of(PolicyKey("shop", "api"), past, past.at), seen)
    assert size_of(past, seen) + row + most_of_the_ring < 120_000
