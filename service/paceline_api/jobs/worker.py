"""The process: its connections, its one job, how it stops, and what it does about jobs of one that died."""

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

import asyncpg
from paceline.tracing import JobSpans
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.jobs import Job

from paceline_api import accounts, mail
from paceline_api.client_settings import MailSettings
from paceline_api.errors import ConfigurationError, MailDelayed, MailRefused
from paceline_api.outbox import QUEUE, WELCOME_MAIL
from paceline_api.settings import Settings

_MAX_ATTEMPTS: Final = 100
_AT_ONCE: Final = 5
_CONNECTION_SECONDS: Final = 3.0
_ALIVE_SECONDS: Final = 5.0
_HEARTBEATS: Final = 3  # in the time after which a worker counts as dead

logger = logging.getLogger(__name__)


def build_app(settings: Settings, postgres: asyncpg.Pool, spans: JobSpans) -> App:
    """procrastinate's application with all jobs; it connects when opened."""
    # Whoever is told to stop while the database is away waits for a connection, too: not for the pool's half minute.
    connector = PsycopgConnector(
        conninfo=settings.postgres.url.get_secret_value(), min_size=1, max_size=2, timeout=_CONNECTION_SECONDS
    )
    app = App(connector=connector)

    @app.task(name=WELCOME_MAIL, queue=QUEUE, retry=_retry(settings.mail), pass_context=True)
    async def welcome_mail(context: JobContext, account_id: int, traceparent: str | None = None) -> None:
        with spans.linked(f"process {WELCOME_MAIL}", traceparent, _attributes(context.job)):
            await _welcome(account_id, postgres, settings.mail)

    return app


async def _welcome(account_id: int, postgres: asyncpg.Pool, settings: MailSettings) -> None:
    try:
        account = (await accounts.by_ids(postgres, [account_id])).get(account_id)
        if account is not None:  # else closed before we came to it
            await mail.send(mail.welcome(account, settings.sender), settings)
    except MailRefused as error:
        logger.error("no welcome mail for account %d: %s", account_id, error)
        raise
    except asyncio.CancelledError as error:  # procrastinate would never try again
        raise MailDelayed("the process was told to stop before the mail was sent") from error


def _attributes(job: Job) -> dict[str, str | int]:
    """By OpenTelemetry's conventions for messaging, which have no name for the attempt."""
    return {
        "messaging.system": "procrastinate",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.queue,
        "messaging.message.id": str(job.id),
        "paceline.attempt": job.attempts + 1,
    }


async def work(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT; a job under way then has ten seconds, or is left to the next.

    Raises:
        ConfigurationError: no mail server is set, or a process that stops would be taken for dead.
    """
    if settings.mail.smtp_url is None:
        raise ConfigurationError("environment variable API_MAIL_SMTP_URL is not set: jobs wait until it is")
    _refuse_early_death(settings)
    spans = JobSpans.from_environment()
    try:
        await _work(settings, spans)
    finally:
        await asyncio.to_thread(spans.shutdown)


async def _work(settings: Settings, spans: JobSpans) -> None:
    async with asyncpg.create_pool(settings.postgres.url.get_secret_value(), min_size=0, max_size=1) as postgres:
        app = build_app(settings, postgres, spans)
        async with app.open_async():
            reviving = asyncio.create_task(_revive(app, settings.mail.stalled_seconds))
            showing = asyncio.create_task(_show_life(settings.jobs.alive_file))
            try:
                await app.run_worker_async(**_options(settings))
            finally:
                await _end(reviving, showing)


def _refuse_early_death(settings: Settings) -> None:
    """While it stops, procrastinate sends no heartbeat, and the last may be as old as the time between two of them.

    Worked example: 10 s to stop and a third of 15 s before them make 15 s; at 14 another process would send the mail
    in hand, too.
    """
    stop, stalled = settings.jobs.stop_seconds, settings.mail.stalled_seconds
    least = stop * _HEARTBEATS / (_HEARTBEATS - 1)
    if stalled <= least:
        raise ConfigurationError(
            f"environment variable API_MAIL_STALLED_SECONDS is wrong: after {stalled:g} s a process that ends the mail"
            f" in hand, which API_JOBS_STOP_SECONDS gives {stop:g} s, would be taken for dead; set it above {least:g}"
        )


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancels the tasks and waits until they have ended: one that is cancelled once more while it takes a query back,
    as asyncio does at the end, loses its connection, and psycopg warns."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_CONNECTION_SECONDS)


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "queues": [QUEUE],
        "concurrency": _AT_ONCE,
        "shutdown_graceful_timeout": settings.jobs.stop_seconds,
        "delete_jobs": "successful",
        "update_heartbeat_interval": settings.mail.stalled_seconds / _HEARTBEATS,
        "stalled_worker_timeout": settings.mail.stalled_seconds,
    }


def _retry(settings: MailSettings) -> RetryStrategy:
    return RetryStrategy(
        max_attempts=_MAX_ATTEMPTS,
        linear_wait=settings.retry_seconds,
        retry_exceptions=(MailDelayed, OSError, asyncpg.PostgresError, asyncpg.InterfaceError),
    )


async def _revive(app: App, stalled_seconds: float) -> None:
    """Puts jobs back whose process died."""
    while True:
        try:
            for job in await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=stalled_seconds):
                logger.warning("job %s was left by a process that died: begun anew", job.id)
                await app.job_manager.retry_job(job)
        except Exception:  # whatever it was, e.g. a database away for a while: the next round tries again
            logger.exception("looking for jobs that were left failed")
        await asyncio.sleep(stalled_seconds)


async def _show_life(file: Path | None) -> None:
    """Touches the file for as long as the event loop turns."""
    while file is not None:
        try:
            await asyncio.to_thread(file.touch)
        except OSError as error:
            logger.error("API_JOBS_ALIVE_FILE cannot be touched: %s", error)
        await asyncio.sleep(_ALIVE_SECONDS)
