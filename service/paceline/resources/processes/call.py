"""A call on its way to another process, and its result on the way back, as bytes. Pickle: both ends are one program.

`perform` runs in the child; nothing here knows how the bytes travel.
"""

import inspect
import pickle
import traceback
from collections.abc import Callable
from typing import Any

from paceline.errors import PoolError, UsageError


def pack_call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The call as bytes.

    Raises:
        UsageError: another process could not find the function by its name, or an argument cannot be sent.
    """
    name = getattr(function, "__qualname__", repr(function))
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"{name} is async: await it here; only plain functions run in a process")
    if "<" in getattr(function, "__qualname__", "") or getattr(function, "__module__", None) == "__main__":
        raise UsageError(f"{name} cannot be imported by another process: define it at the top level of a module")
    try:
        return pickle.dumps((function, args, kwargs))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{name} cannot be sent to another process: {error}; it takes a function from the top level of a module"
            " and plain values"
        ) from error


def perform(call: bytes) -> bytes:
    """Runs the call, here and now; its result as bytes, whatever it was."""
    try:
        function, args, kwargs = pickle.loads(call)  # noqa: S301 - from our own worker, over a socket that is only ours
        return pickle.dumps((True, function(*args, **kwargs)))
    except Exception as error:
        error.add_note(f"in a process of the pool:\n{traceback.format_exc()}")
        return pickle.dumps((False, _portable(error)))


def unpack_result(result: bytes) -> Any:
    """What the function returned; raises what it raised, with its traceback as a note."""
    succeeded, value = pickle.loads(result)  # noqa: S301 - as above
    if succeeded:
        return value
    raise value


def _portable(error: Exception) -> Exception:
    """The error itself, or one that says the same where that cannot be pickled and read again."""
    try:
        if isinstance(pickle.loads(pickle.dumps(error)), type(error)):  # noqa: S301 - made in this very line
            return error
    except Exception as reason:
        error.add_note(f"(the error itself cannot travel between processes: {reason})")
    return PoolError("\n".join((f"{type(error).__name__}: {error}", *error.__notes__)))
