"""How long each level of the process tree may take to stop: always longer than the level below it. Arithmetic only.

Worked example with the defaults (keep-alive 5 s, graceful timeout 30 s): a worker waits 30 s for requests and 5 s for
the application's shutdown, the arbiter kills it after 38 s, the supervisor kills the arbiter after 41 s.
"""

from typing import Final

LIFESPAN_SHUTDOWN_SECONDS: Final = 5.0
"""What an application may take to shut down once its requests are done."""
AGENT_STOP_SECONDS: Final = 5.0
"""What the agent may take to stop."""
AT_ONCE_STOP_SECONDS: Final = 2.0
"""What arbiter and workers may take from SIGQUIT to their end."""
CLEANUP_SECONDS: Final = 2.0
"""For what a worker cancels at its end. Short: whatever runs by then had the whole graceful timeout, or no client."""
AT_ONCE_CLEANUP_SECONDS: Final = 0.5
"""The same after SIGQUIT: the worker has to end before it is killed, which would make the stop an unclean one."""
_SLACK_SECONDS: Final = 3.0


def idle_drain_seconds(keepalive_seconds: float) -> float:
    """How long a draining worker waits for the next request of an idle connection.

    An idle connection is closed after the keep-alive time anyway; one second more covers timers that are late.
    """
    return keepalive_seconds + 1.0


def worker_stop_seconds(keepalive_seconds: float, graceful_timeout_seconds: float) -> float:
    """The longest a healthy worker takes from SIGTERM to its end; then the arbiter kills it."""
    drain = max(graceful_timeout_seconds, idle_drain_seconds(keepalive_seconds))
    return drain + LIFESPAN_SHUTDOWN_SECONDS + _SLACK_SECONDS


def arbiter_stop_seconds(keepalive_seconds: float, graceful_timeout_seconds: float) -> float:
    """The longest the arbiter takes from SIGTERM to its end; then the supervisor kills it."""
    return worker_stop_seconds(keepalive_seconds, graceful_timeout_seconds) + _SLACK_SECONDS
