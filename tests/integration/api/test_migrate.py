"""Migrations against a database of the test's own: once, however many start; errors in one line."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from paceline_api.errors import MigrationError
from paceline_api.migrate import migrate
from paceline_api.models import Base, is_ours
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

pytestmark = pytest.mark.may_block  # a migration is a command of its own: it may read its scripts


@pytest.fixture
async def empty_dsn(postgres_dsn: str) -> AsyncIterator[str]:
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute("CREATE DATABASE empty")
    yield urlsplit(postgres_dsn)._replace(path="/empty").geturl()
    await admin.execute("DROP DATABASE empty WITH (FORCE)")
    await admin.close()


async def rows(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM products"))
    finally:
        await connection.close()


async def test_several_at_once_migrate_once(empty_dsn: str) -> None:
    await asyncio.gather(*(migrate(empty_dsn) for _ in range(4)))
    assert await rows(empty_dsn) == 1000
    await migrate(empty_dsn)
    assert await rows(empty_dsn) == 1000


async def test_the_models_are_what_the_migrations_make(empty_dsn: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(
            compare_metadata(MigrationContext.configure(connection, opts={"include_name": is_ours}), Base.metadata)
        )

    await migrate(empty_dsn)
    engine = create_async_engine(empty_dsn.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_failure_changes_nothing(empty_dsn: str) -> None:
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("CREATE TABLE products (id int)")
    with pytest.raises(MigrationError, match=r'nothing was changed: .*relation "products" already exists'):
        await migrate(empty_dsn)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert [table["tablename"] for table in tables] == ["products"]


async def test_it_waits_for_a_database_that_starts_late(empty_dsn: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    late = urlsplit(empty_dsn)._replace(netloc=f"postgres@127.0.0.1:{port}").geturl()
    migrating = asyncio.create_task(migrate(late, wait_seconds=20))
    await asyncio.sleep(0.7)  # long enough for a first, refused attempt
    assert not migrating.done()
    forward = await asyncio.start_server(forward_to(empty_dsn), "127.0.0.1", port)
    async with forward:
        await migrating
    assert await rows(empty_dsn) == 1000


def forward_to(dsn: str):  # type: ignore[no-untyped-def]
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", urlsplit(dsn).port)
        await asyncio.gather(pump(reader, upstream_writer), pump(upstream_reader, writer))

    return forward


def run_module(**environment: str) -> "subprocess.CompletedProcess[str]":
    base = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    return subprocess.run(
        [sys.executable, "-m", "paceline_api.migrate"],
        env={**base, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_migrates_and_says_nothing(postgres_dsn: str) -> None:
    done = run_module(DATABASE_URL=postgres_dsn, REDIS_URL="redis://127.0.0.1:1/0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "environment variable DATABASE_URL is not set"),
        (
            {"DATABASE_URL": "mysql://u:secret-word@db/x"},
            "environment variable DATABASE_URL is wrong: write postgresql://",
        ),
        ({"DATABASE_URL": "postgresql://u:secret-word@127.0.0.1:1/x"}, "no database at postgresql+asyncpg://u:***@"),
    ],
    ids=["no address", "an address of something else", "nobody listens"],
)
def test_a_mistake_is_one_line_without_the_password(environment: dict[str, str], message: str) -> None:
    done = run_module(REDIS_URL="redis://127.0.0.1:1/0", API_POSTGRES_MIGRATION_WAIT_SECONDS="0", **environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"paceline_api.migrate: {message}")
    assert done.stderr.count("\n") == 1
    assert "secret-word" not in done.stderr
