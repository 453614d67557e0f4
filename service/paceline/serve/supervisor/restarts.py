"""How often, and after what pause, a part that ended by itself is started again. Pure."""

from dataclasses import dataclass
from typing import Final

_HEALTHY_SECONDS: Final = 60.0
_MOST_FAILURES: Final = 6


@dataclass(frozen=True, slots=True)
class Restarts:
    """Lives in a row that were short. One that lasted a minute ends the row."""

    failures: int = 0

    def after(self, lived_seconds: float) -> "Restarts":
        """The row once a life has ended by itself."""
        return Restarts(1 if lived_seconds >= _HEALTHY_SECONDS else self.failures + 1)

    @property
    def pause_seconds(self) -> float:
        """Before the next start: none after the first failure, then 1, 2, 4, 8 s."""
        return 0.0 if self.failures <= 1 else 2.0 ** (self.failures - 2)

    @property
    def hopeless(self) -> bool:
        """Whether to give up: after the sixth short life in a row, some 15 s of pauses."""
        return self.failures >= _MOST_FAILURES
