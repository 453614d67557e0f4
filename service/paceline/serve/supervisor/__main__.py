"""Entry of the first process: `python -P -m paceline.serve.supervisor MODULE:APP …`; `paceline serve` starts it."""

import sys

from paceline.serve.leaving import leave_with
from paceline.serve.supervisor.supervisor import main

if __name__ == "__main__":
    leave_with(lambda: main(sys.argv[1:]))
