"""`make bench`: what Paceline costs, measured against what one would run without it.

python -m tests.benchmarks [--only NAME] [--json]

PAIRS and SECONDS of the environment say how often and how long each side is measured.
"""

import sys
from typing import Final

from tests.benchmarks import (
    auth,
    cached_answer,
    command,
    dashboard,
    hello,
    memory,
    products,
    rate_limit,
    retune,
    scale_up,
    serve,
)
from tests.benchmarks.effort import Effort

BENCHES: Final[dict[str, command.Bench]] = {
    "serve": serve.run,
    "json": hello.run,
    "products": products.run,
    "expensive-data": cached_answer.run,
    "auth": auth.run,
    "dashboard": dashboard.run,
    "rate-limit": rate_limit.run,
    "retune": retune.run,
    "memory": memory.run,
    "scale-up": scale_up.run,
}


TITLE: Final = "medians of interleaved pairs; a ratio above 1 means that ours is better"


def main() -> int:
    return command.run("tests.benchmarks", __doc__.splitlines()[0], BENCHES, Effort(7, 1.5), TITLE)


if __name__ == "__main__":
    sys.exit(main())
