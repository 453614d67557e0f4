"""The operator's errors. Each message says what is wrong, where, and what to do.

OperatorError
├── UsageError     wrong command line, folder or setting (exit status 2)
├── InvalidSpec    a policy that cannot be understood; names every field that is wrong
└── InvalidState   a pod's /state, or a stored document, that cannot be understood

`ports` holds the three that adapters raise: Conflict, TargetNotFound, PlatformUnavailable.
"""

from collections.abc import Sequence


class OperatorError(Exception):
    """Base of all errors that the operator raises on purpose."""

    exit_status = 1


class UsageError(OperatorError):
    """What the user asked for cannot be done as asked; nothing was started."""

    exit_status = 2


class InvalidSpec(OperatorError):
    """The policy does not parse; nothing is tuned until it does. `problems` holds one `field: what is wrong` each."""

    exit_status = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")


class InvalidState(OperatorError):
    """What a pod reports, or the stored document, breaks its schema; it counts as absent."""
