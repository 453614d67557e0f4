"""The embedded servers: ready when the context is entered, gone afterwards, and clear about why they did not start."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from paceline.errors import PacelineError
from paceline.local.postgres import postgres
from paceline.local.valkey import valkey
from redis.asyncio import Redis


def is_open(address: str) -> bool:
    parts = urlsplit(address)
    assert parts.hostname is not None
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


async def test_postgres_keeps_its_data_in_a_given_folder(tmp_path: Path) -> None:
    with postgres(tmp_path, "max_connections=17") as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("show max_connections") == "17"
        await connection.execute("create table kept (n int)")
        await connection.close()
    assert not is_open(dsn)
    with postgres(tmp_path) as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("select count(*) from kept") == 0
        await connection.close()


def test_postgres_says_why_it_did_not_start(tmp_path: Path) -> None:
    expected = pytest.raises(PacelineError, match=r"PostgreSQL did not start.*exit status 1.*max_connections")
    with expected, postgres(tmp_path, "max_connections=none"):
        pytest.fail("it started")


def test_postgres_as_root_makes_no_account_and_changes_no_owner(tmp_path: Path) -> None:
    accounts = Path("/etc/passwd").read_bytes()
    owner = tmp_path.stat().st_uid
    with postgres(tmp_path):
        assert (tmp_path / "pgdata").stat().st_uid == owner
    assert Path("/etc/passwd").read_bytes() == accounts


async def test_valkey_answers_and_ends(tmp_path: Path) -> None:
    with valkey(tmp_path) as url:
        client = Redis.from_url(url)
        assert await client.ping()
        await client.aclose()
    assert not is_open(url)


def test_a_taken_port_is_not_mistaken_for_ours(tmp_path: Path, valkey_url: str) -> None:
    port = urlsplit(valkey_url).port
    expected = pytest.raises(PacelineError, match=r"Valkey did not start.*exit status")
    with expected, valkey(tmp_path, port=port):
        pytest.fail("it started")
