"""`make bench-fleet`: what the operator itself costs, by size of the fleet; our simulator beside SimPy.

python -m tests.benchmarks.fleet [--only NAME] [--json]
"""

import sys
from typing import Final

from tests.benchmarks import blocked, command, fleet_sizes, simulator, thousand_pods
from tests.benchmarks.effort import Effort

BENCHES: Final[dict[str, command.Bench]] = {
    "pass": thousand_pods.run,
    "blocked": blocked.run,
    "simulator": simulator.run,
    "sizes": fleet_sizes.run,
}
TITLE: Final = "medians; a ratio above 1 means that ours is better, or below its limit"


def main() -> int:
    return command.run("tests.benchmarks.fleet", __doc__.splitlines()[0], BENCHES, Effort(5, 1.0), TITLE)


if __name__ == "__main__":
    sys.exit(main())
