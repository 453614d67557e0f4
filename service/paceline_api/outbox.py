"""Hands work to `python -m paceline_api.jobs`, within a transaction of the caller's: no commit, no job.

procrastinate's own SQL function puts the job into its table, so that the API needs neither a second driver nor a second
pool. Its version is in its name; the migrations made it.
"""

from typing import TYPE_CHECKING, Final

import orjson
from paceline.tracing import current_traceparent

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

QUEUE: Final = "mail"
WELCOME_MAIL: Final = "welcome_mail"
"""Name of the job; its arguments are `account_id` and, of a request that is traced, `traceparent`."""

_DEFER: Final = """
SELECT procrastinate_defer_jobs_v1(
    ARRAY[ROW($1::text, $2::text, 0, NULL, NULL, $3::jsonb, NULL)::procrastinate_job_to_defer_v1]
)
"""


async def defer(connection: "PoolConnectionProxy", job: str, **arguments: object) -> None:
    """Enqueues a job; it is seen by nobody before the transaction that the connection is in has committed.
    Of a request that is traced it carries the `traceparent`, so that its own span is linked to it."""
    traceparent = current_traceparent()
    if traceparent is not None:
        arguments["traceparent"] = traceparent
    await connection.execute(_DEFER, QUEUE, job, orjson.dumps(arguments).decode())
