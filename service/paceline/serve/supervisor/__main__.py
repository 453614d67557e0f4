"""Entry of the first process: `python -P -m paceline.serve.supervisor MODULE:APP …`; `paceline serve` starts it."""

import sys

from paceline.serve.supervisor.supervisor import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
