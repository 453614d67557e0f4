"""Random generators across a fork: found among living objects, and reseeded in every process that is forked.

A forked process starts with a copy of each generator's state, so two workers would draw the same numbers. Python
reseeds the generator behind `random.random()` by itself, and nothing else. Loads numpy only if somebody else has.
"""

import gc
import logging
import os
import random
import sys
from types import FrameType
from typing import Any

from paceline.errors import UsageError

_logger = logging.getLogger("paceline.resources")
_reseeded: list[Any] = []
"""After every fork, in the new process."""


def fork_safe(generator: Any) -> None:
    """Has a generator reseeded from the operating system's entropy in every process that is forked from now on.

    Raises:
        UsageError: it is neither a `random.Random` nor one of numpy's.
    """
    if isinstance(generator, random.SystemRandom) or is_fork_safe(generator):
        return
    if not _is_generator(generator):
        kind = f"{type(generator).__module__}.{type(generator).__qualname__}"
        raise UsageError(
            f"tune.fork_safe: cannot reseed {kind}; hand over a random.Random, or a Generator, RandomState or"
            " BitGenerator of numpy.random"
        )
    if not _reseeded:
        os.register_at_fork(after_in_child=_reseed_all)
    _reseeded.append(generator)


def is_fork_safe(generator: Any) -> bool:
    """Whether a fork reseeds this generator, or the bit generator that it draws from."""
    source = source_of(generator)
    return any(source_of(each) is source for each in _reseeded)


def generators() -> list[Any]:
    """The generators that live in this process, of numpy's those that others draw from.

    Not among them: `SystemRandom`, which has no state, and the one behind `random.random()`, which Python reseeds.
    """
    found = [each for each in gc.get_objects() if _is_source(each)]
    return [each for each in found if each is not random._inst]


def seed_sequences() -> list[Any]:
    """Those of numpy that live in this process, from which more generators may be spawned; not those that are a
    generator's own. None can be given another state."""
    kind = getattr(sys.modules.get("numpy.random"), "SeedSequence", None)
    found = [each for each in gc.get_objects() if type(each) is kind] if kind is not None else []
    return [each for each in found if not all(map(_is_source, _holders(each, found)))]


def _holders(value: Any, found: list[Any]) -> list[Any]:
    return [each for each in gc.get_referrers(value) if each is not found and type(each) is not FrameType]


def reseed(generator: Any) -> None:
    """Gives a generator a fresh state from the operating system's entropy."""
    source = source_of(generator)
    if source is generator:
        generator.seed() if isinstance(generator, random.Random) else _reseed_bits(generator)
        return
    _reseed_bits(source)
    if hasattr(generator, "set_state"):  # numpy's old kind keeps a normal deviate for the next call
        generator.set_state({**generator.get_state(legacy=False), "has_gauss": 0, "gauss": 0.0})


def _reseed_bits(source: Any) -> None:
    source.state = type(source)().state


def _reseed_all() -> None:
    for generator in _reseeded:
        try:
            reseed(generator)
        except Exception:  # its class has a `seed` of its own; the others must get theirs all the same
            if isinstance(generator, random.Random):
                random.Random.seed(generator)
            else:
                _logger.exception("%r could not be reseeded after the fork", type(generator))


def _is_generator(value: Any) -> bool:
    return _is_source(value) or _is_source(source_of(value))


def _is_source(value: Any) -> bool:
    kind = type(value)
    if issubclass(kind, random.Random):
        return not issubclass(kind, random.SystemRandom)
    bits = getattr(sys.modules.get("numpy.random"), "BitGenerator", None)
    return bits is not None and issubclass(kind, bits)


def source_of(generator: Any) -> Any:
    """What holds the state: of numpy's generators their bit generator, else the object itself."""
    # By its type: `isinstance` would ask every proxy of the application's for its class.
    kind = type(generator)
    if issubclass(kind, random.Random):
        return generator
    module = sys.modules.get("numpy.random")
    if not issubclass(
        kind, tuple(each for name in ("Generator", "RandomState") if (each := getattr(module, name, None)))
    ):
        return generator
    return getattr(generator, "bit_generator", None) or generator._bit_generator
