"""Entry of the agent: `python -P -m paceline.serve.agent`; the supervisor starts it."""

from paceline.serve.agent.agent import main
from paceline.serve.leaving import leave_with

if __name__ == "__main__":
    leave_with(main)
