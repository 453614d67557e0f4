"""Entry of the arbiter: `python -P -m paceline.serve.arbiter MODULE:APP [--no-preload]`; the supervisor starts it."""

import sys

from paceline.serve.arbiter.arbiter import main
from paceline.serve.leaving import leave_with

if __name__ == "__main__":
    leave_with(lambda: main(sys.argv[1:]))
