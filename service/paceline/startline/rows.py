"""What becomes of one setting of gunicorn's or uvicorn's: the shape of a row of `table`, and how rows are found."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum


class Fate(Enum):
    """What `paceline serve` does with a setting."""

    SETTING = "becomes a setting of ours"
    ACTION = "does something before anything starts"
    NOT_NEEDED = "is taken, and nothing has to be done for it"
    NO_EFFECT = "is taken and changes nothing, which a warning says"
    NOT_OFFERED = "ends the start with what to do instead"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting, however many servers have it and however it is spelled."""

    fate: Fate
    names: tuple[str, ...]
    """`gunicorn.NAME` and `uvicorn.NAME`; empty: it is ours alone."""
    flags: tuple[str, ...]
    off: tuple[str, ...]
    """Flags that say no."""
    metavar: str
    """What its value is; empty: it takes none. `[a|b]`: it may be one of these. With a `+` it may be given again."""
    becomes: str
    """The variable of ours, or the name of the action."""
    says: str
    """Of settings and actions the help; of others why it is not needed, or what to do instead."""
    plain: frozenset[str]
    """Values that ask for what is the case anyway."""

    @property
    def many(self) -> bool:
        """Whether several values add up."""
        return self.metavar.endswith("+")

    @property
    def optional(self) -> frozenset[str]:
        """Values that may follow it, where it may also stand alone."""
        return frozenset(self.metavar.strip("[]").split("|")) if self.metavar.startswith("[") else frozenset()

    def name_of(self, server: str) -> str | None:
        """Its name in that server's configuration."""
        found = (name.partition(".")[2] for name in self.names if name.startswith(f"{server}."))
        return next(found, None)


def row(fate: Fate, names: str, flags: str, metavar: str, becomes: str, says: str, plain: str = "") -> Row:
    """A row as the table writes it: `g:workers u:workers`, `--preload/--no-preload`."""
    on, _, off = flags.partition("/")
    servers = {"g": "gunicorn", "u": "uvicorn"}
    full = [f"{servers[name[0]]}.{name[2:]}" for name in names.split()]
    return Row(
        fate, tuple(full), tuple(on.split()), tuple(off.split()), metavar, becomes, says, frozenset(plain.split())
    )


def nearest(written: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing where no known name is like it."""
    found = get_close_matches(written, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
