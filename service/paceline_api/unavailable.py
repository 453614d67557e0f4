"""Which errors of drivers mean that a database is down, full or takes no writes: not a bug, and worth another try."""

import re
from typing import Final

import asyncpg
import pymongo.errors
import redis.exceptions

UNAVAILABLE: Final = (
    OSError,  # nothing listens, name not found, connection reset; TimeoutError and AcquireTimeout are OSErrors
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it starts, stops, crashed, or cancelled the query
    asyncpg.InsufficientResourcesError,  # too many connections or a full disk, among others
    asyncpg.InterfaceError,
    asyncpg.ReadOnlySQLTransactionError,  # a replica, or a primary that was told to take no writes
    pymongo.errors.ConnectionFailure,
    pymongo.errors.ExecutionTimeout,
    pymongo.errors.WaitQueueTimeoutError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.ClusterError,
    redis.exceptions.TryAgainError,
    redis.exceptions.InvalidResponse,  # something else listens there
)
"""Classes that always mean it. `is_unavailable` also knows what redis-py has no class for."""

_CODE: Final = re.compile(r"""(?:^|caused error: \(?["']?|: -)([A-Z]{3,}) """)
_OUR_MISTAKES: Final = frozenset({"ERR", "WRONGTYPE", "NOSCRIPT", "EXECABORT", "CROSSSLOT", "INVALIDOBJ"})


def is_unavailable(error: BaseException) -> bool:
    """Whether the backend, not the request or the code, is the reason.

    redis-py has classes for some of a server's refusals only; MISCONF, NOREPLICAS, BUSY and others are plain
    `ResponseError`s that begin with the code, after what a pipeline or an older server's script puts in front of it.

    >>> is_unavailable(redis.exceptions.ResponseError("MISCONF Errors writing to the AOF file"))
    True
    >>> is_unavailable(redis.exceptions.ResponseError("WRONGTYPE Operation against a key holding the wrong kind"))
    False
    """
    if isinstance(error, UNAVAILABLE):
        return True
    if not isinstance(error, redis.exceptions.ResponseError):
        return False
    codes = _CODE.findall(str(error))
    return bool(codes) and codes[-1] not in _OUR_MISTAKES
