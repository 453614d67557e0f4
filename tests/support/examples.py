"""How many examples a property test runs: few in `make test`, many under `make fuzz`."""

import os
from typing import Final

FUZZING: Final = os.environ.get("PACELINE_FUZZ") == "1"


def examples(few: int, many: int = 100_000) -> int:
    """`few` in `make test`, `many` under `make fuzz`."""
    return many if FUZZING else few
