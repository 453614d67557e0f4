"""`python -m paceline_api.jobs`: works off what the API has put into its outbox, until told to stop.

A process of its own, beside the API's pods: a slow mail server holds up no worker that is to go, and its three
connections to PostgreSQL are not multiplied by workers. Run one or more. Each job runs at least once: one whose process
dies is begun anew by another, or by the next, and then a mail may arrive twice.
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any, Final

import asyncpg
from procrastinate import App, PsycopgConnector, RetryStrategy

from paceline_api import accounts, mail
from paceline_api.client_settings import MailSettings
from paceline_api.errors import ApiError, ConfigurationError, MailDelayed, MailRefused
from paceline_api.outbox import QUEUE, WELCOME_MAIL
from paceline_api.settings import Settings, load_settings

_MAX_ATTEMPTS: Final = 100
_AT_ONCE: Final = 5
_CONNECTION_SECONDS: Final = 3.0
_ALIVE_SECONDS: Final = 5.0
_HEARTBEATS: Final = 3  # in the time after which a worker counts as dead

logger = logging.getLogger(__name__)


def build_app(settings: Settings, postgres: asyncpg.Pool) -> App:
    """procrastinate's application with all jobs; it connects when opened."""
    # Whoever is told to stop while the database is away waits for a connection, too: not for the pool's half minute.
    connector = PsycopgConnector(
        conninfo=settings.postgres.url.get_secret_value(), min_size=1, max_size=2, timeout=_CONNECTION_SECONDS
    )
    app = App(connector=connector)

    @app.task(name=WELCOME_MAIL, queue=QUEUE, retry=_retry(settings.mail))
    async def welcome_mail(account_id: int) -> None:
        try:
            account = await accounts.by_id(postgres, account_id)
            if account is not None:  # else closed before we came to it
                await mail.send(mail.welcome(account, settings.mail.sender), settings.mail)
        except MailRefused as error:
            logger.error("no welcome mail for account %d: %s", account_id, error)
            raise
        except asyncio.CancelledError as error:  # procrastinate would never try again
            raise MailDelayed("the process was told to stop before the mail was sent") from error

    return app


async def work(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT; a job under way then has ten seconds, or is left to the next.

    Raises:
        ConfigurationError: no mail server is set.
    """
    if settings.mail.smtp_url is None:
        raise ConfigurationError("environment variable API_MAIL_SMTP_URL is not set: jobs wait until it is")
    async with asyncpg.create_pool(settings.postgres.url.get_secret_value(), min_size=0, max_size=1) as postgres:
        app = build_app(settings, postgres)
        async with app.open_async():
            beside = asyncio.gather(_revive(app, settings.mail.stalled_seconds), _show_life(settings.jobs.alive_file))
            try:
                await app.run_worker_async(**_options(settings))
            finally:
                beside.cancel()


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
