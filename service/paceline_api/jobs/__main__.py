"""The command. A module of its own, so that procrastinate finds its application in a module that has a name."""

import asyncio
import logging
import sys

from paceline_api.errors import ApiError
from paceline_api.jobs.worker import work
from paceline_api.settings import load_settings


def main() -> int:
    """Exit status 0 when told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(work(load_settings()))
    except ApiError as error:
        sys.stderr.write(f"paceline_api.jobs: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
