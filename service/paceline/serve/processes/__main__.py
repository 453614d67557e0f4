"""Entry of the pool's process: `python -P -m paceline.serve.processes AGENT_PID RUN_DIR DESCRIPTOR`, for the agent.

A package's `__main__`, which multiprocessing does not import into every child.
"""

import asyncio
import signal
import socket
import sys
from pathlib import Path

from paceline import lifeline
from paceline.serve.import_path import extend_import_path
from paceline.serve.processes.server import Server
from paceline.serve.rundir import RunDir


def main(agent: int, folder: Path, calls: int) -> None:
    """Serves until the agent says stop, or is gone, and the last worker has ended."""
    lifeline.die_with_parent(agent, signal.SIGTERM)
    extend_import_path()  # as workers do
    with socket.socket(fileno=calls) as pool_end:
        pool_end.set_inheritable(False)
        asyncio.run(Server(RunDir(folder), pool_end).serve())


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
