"""Real servers, one of each for the session; every test cleans up after itself or uses names of its own."""

from collections.abc import Iterator

import pytest
from mongo import mongo
from paceline.local.postgres import postgres
from paceline.local.valkey import valkey


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """A PostgreSQL of 100 connections, empty at the start of the session."""
    with postgres(None, "max_connections=100") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A Valkey, empty at the start of the session."""
    with valkey() as url:
        yield url


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks MongoDB's protocol, empty at the start of the session; skips where there is none."""
    with mongo(tmp_path_factory.mktemp("mongo")) as url:
        yield url
