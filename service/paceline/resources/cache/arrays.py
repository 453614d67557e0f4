"""Arrays and scalars of numpy in cache keys: by type, shape and content. numpy is not needed for that."""

from hashlib import blake2b
from typing import Any, Final

_PLAIN: Final = frozenset("?bhilqBHILQefdFDSUmM")
"""Types of elements whose bytes are their value: no objects, no records, nothing that is padded."""
_LONGEST: Final = 64


def is_array(kind: type) -> bool:
    """Whether objects of a class are arrays of numpy, or scalars of its own."""
    return any(each.__module__ == "numpy" and each.__name__ in ("ndarray", "generic") for each in kind.__mro__)


def content(value: Any) -> str | None:
    """Type, shape and bytes (a digest of many) as a token; None: it holds objects, or more than its elements."""
    if value.dtype.char not in _PLAIN or type(value).__module__ != "numpy":
        return None
    data: bytes = value.tobytes()
    written = data.hex() if len(data) <= _LONGEST else "~" + blake2b(data, digest_size=32).hexdigest()
    order = {"<": "little", ">": "big"}.get(value.dtype.str[0], "any")
    unit = value.dtype.str[1:].replace("[", "(").replace("]", ")")
    return ",".join([order, unit, "x".join(map(str, value.shape)), written])


def is_abridged(value: Any) -> bool:
    """Whether the text of an object leaves out a part: of a long array or table, and the last digits of numbers."""
    whole = is_array(type(value)) and value.shape == ()
    return not whole and any(hasattr(type(value), name) for name in ("__array__", "__dataframe__"))
