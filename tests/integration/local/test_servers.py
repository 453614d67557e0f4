"""The embedded servers: ready when the context is entered, gone afterwards, and clear about why they did not start."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from paceline.errors import PacelineError
from paceline.local.postgres import postgres
from paceline.local.valkey import valkey
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError


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


@pytest.mark.invariant
async def test_postgres_lets_only_those_in_who_know_the_password_drawn_last(tmp_path: Path) -> None:
    with postgres(tmp_path):
        pass  # data of a release without passwords
    for password in ("first-xkcd-936", "second-xkcd-936"):
        with postgres(tmp_path, password=password) as dsn:
            assert f":{password}@" in dsn
            await (await asyncpg.connect(dsn)).close()
            for wrong in (dsn.replace(f":{password}", ""), dsn.replace(password, "another")):
                with pytest.raises(asyncpg.InvalidPasswordError):
                    await asyncpg.connect(wrong, password="" if "@" in wrong else None)
            assert password not in command_lines()
    assert not exposed(tmp_path)


@pytest.mark.invariant
async def test_valkey_lets_only_those_in_who_know_the_password(tmp_path: Path) -> None:
    with valkey(tmp_path, password="drawn-for-this-test") as url:
        async with Redis.from_url(url) as known:
            assert await known.ping()
        for wrong in (url.replace(":drawn-for-this-test@", ""), url.replace("drawn", "guessed")):
            async with Redis.from_url(wrong) as stranger:
                with pytest.raises(AuthenticationError):
                    await stranger.ping()
        assert "drawn-for-this-test" not in command_lines()
    assert not exposed(tmp_path)


def command_lines() -> str:
    """What every user of this machine can read."""
    return "\n".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))


def exposed(folder: Path) -> list[Path]:
    """Files that others may read."""
    return [path for path in folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077]


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
