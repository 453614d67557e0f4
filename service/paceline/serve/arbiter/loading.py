"""Loads the application once for all workers, where a fork would break or copy nothing that it made."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from paceline.asgi import ASGIApp
from paceline.resources.random_generators import generators, seed_sequences
from paceline.serve.arbiter.log_threads import restart_across_forks
from paceline.serve.arbiter.preload import fork_hazards, load_application, load_backends
from paceline.serve.arbiter.shared_generators import settle_generators
from paceline.settings import ServeSettings
from paceline.telemetry import logs

NO_PRELOAD: Final = "--no-preload"
"""An argument of the arbiter's; a reason may follow it."""

logger = logging.getLogger("paceline.serve")


def load_once(target: str, settings: ServeSettings, arguments: Sequence[str]) -> ASGIApp | None:
    """The application, loaded once for all workers; None if each must load it itself.

    If loading left alive what a fork would break or copy, this process starts over without it, and then says why: by
    now the application may have configured logging so that the line would go nowhere.
    """
    if NO_PRELOAD in arguments:
        for reason in arguments[arguments.index(NO_PRELOAD) + 1 :]:
            logger.warning("preload is off: %s", reason)
        return None
    if not settings.preload:
        return None
    before = [*generators(), *seed_sequences()]
    application = load_application(target)
    logs.settle()
    load_backends()
    restart_across_forks()
    hazards = [*fork_hazards(), *settle_generators(target, before)]
    if hazards:
        reason = (
            f"workers would share what loading {target} made: {', '.join(hazards)}; each worker loads it itself and"
            " needs more memory. Start threads and connections, and make seed sequences, in the lifespan; wrap random"
            " generators in tune.fork_safe(...)"
        )
        command = [sys.executable, "-P", "-m", "paceline.serve.arbiter", target, NO_PRELOAD, reason]
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    return application
