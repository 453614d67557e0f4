"""Entry of the agent: `python -P -m paceline.serve.agent`; the supervisor starts it."""

import sys

from paceline.serve.agent.agent import main

if __name__ == "__main__":
    sys.exit(main())
