"""Entry of the arbiter: `python -P -m paceline.serve.arbiter MODULE:APP [--no-preload]`; the supervisor starts it."""

import sys

from paceline.serve.arbiter.arbiter import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
