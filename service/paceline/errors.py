"""The runtime's errors. Each message says what is wrong, where, and what to do.

PacelineError
├── UsageError          wrong command line, module or setting (exit status 2)
├── InvalidDocument     a tuning document that cannot be understood
└── PoolError           a pool that cannot be tuned as asked
    ├── AcquireTimeout  no connection became free in time
    ├── PoolFull        as many calls wait for a process as may
    └── ProcessDied     the process that ran a call ended before it returned
"""


class PacelineError(Exception):
    """Base of all errors that Paceline's runtime raises on purpose."""

    exit_status = 1


class UsageError(PacelineError):
    """What the user asked for cannot be done as asked; nothing was started."""

    exit_status = 2


class InvalidDocument(PacelineError):
    """The tuning document does not parse or breaks its schema; what runs stays."""


class PoolError(PacelineError):
    """The pool handed to `tune.pool` cannot be limited as asked."""


class AcquireTimeout(PoolError, TimeoutError):
    """No connection became free within the pool's own timeout."""


class PoolFull(PoolError):
    """As many calls wait for a process as may; nothing was begun. `retry_after_seconds` says when to come back."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ProcessDied(PoolError):
    """The process that ran the call ended before it returned; other calls go on."""
