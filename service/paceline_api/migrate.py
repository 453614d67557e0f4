"""`python -m paceline_api.migrate`: brings the database to the newest schema, however many of us start at once.

An init container runs it. One transaction under an advisory lock: the first does the work, the others find it done,
and a failure leaves the schema as it was.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from paceline_api.errors import ApiError, MigrationError
from paceline_api.settings import load_settings

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7_226_353_463  # any constant of ours: who holds it in this database may migrate
_RETRY_SECONDS: Final = 0.5
_PASSING_STATES: Final = frozenset({"57P03", "53300"})  # cannot_connect_now, too_many_connections


async def migrate(database_url: str, *, wait_seconds: float = 60.0) -> None:
    """Upgrades to head; does nothing where that is done.

    Waits up to `wait_seconds` for a database that does not respond yet.

    Raises:
        MigrationError: says what stopped it; the schema is as it was.
    """
    engine = create_async_engine(make_url(database_url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    try:
        await _wait_for_database(engine, wait_seconds)
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(_upgrade)
    except (SQLAlchemyError, CommandError, OSError) as error:
        raise MigrationError(f"migration failed, nothing was changed: {_one_line(error)}") from error
    finally:
        await engine.dispose()


async def _wait_for_database(engine: AsyncEngine, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            async with asyncio.timeout_at(deadline), engine.connect():
                return
        except (OSError, SQLAlchemyError) as error:
            if not _may_pass(error):
                raise
            if loop.time() + _RETRY_SECONDS > deadline:
                address = engine.url.render_as_string(hide_password=True)
                raise MigrationError(f"no database at {address} after {seconds:g} s: {_one_line(error)}") from error
        await asyncio.sleep(_RETRY_SECONDS)


def _may_pass(error: Exception) -> bool:
    """Starting, full or unreachable databases come back; a wrong password or name does not."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    return isinstance(error, OSError) or state in _PASSING_STATES or state.startswith("08")


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _one_line(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).split("\n", 1)[0] or type(error).__name__


def main() -> int:
    """Exit status 0 once the schema is the newest.

    API_POSTGRES_MIGRATION_WAIT_SECONDS is how long to wait for a database that does not respond.
    """
    try:
        settings = load_settings().postgres
        waiting = migrate(settings.url.get_secret_value(), wait_seconds=settings.migration_wait_seconds)
        asyncio.run(waiting)
    except ApiError as error:
        sys.stderr.write(f"paceline_api.migrate: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
