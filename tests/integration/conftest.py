"""Real servers, one of each for the session; every test cleans up after itself or uses names of its own."""

from collections.abc import Iterator

import pytest
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
