"""Connections of no pool's: seen twice in turn, without those that are known."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from paceline.resources.registry import Tunables
from paceline.serve.worker.unregistered import Unregistered, known_addresses
from paceline.settings import OpenTelemetrySettings, ServeSettings, Settings
from pydantic import ValidationError

DATABASE = ("10.0.0.9", 5432)


class Pool:
    """A pool as the registry sees one, with one connection."""

    name = "postgres"
    cap = start_limit = 5
    closed = False

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def set_limit(self, limit: int) -> None:
        pass

    def report(self) -> dict[str, Any]:
        return {}

    def sockets(self) -> list[socket.socket]:
        return [self._connection]


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with socket.socket() as connection:
        yield connection


def inode(connection: socket.socket) -> int:
    return os.fstat(connection.fileno()).st_ino


async def test_what_no_pool_accounts_for_is_reported_once_it_was_seen_twice() -> None:
    seen = {1: DATABASE}
    unregistered = Unregistered(Tunables(), [], lambda: dict(seen))
    await unregistered.refresh()
    assert unregistered.report() == [], "it may be opening still, for a pool"
    seen[2] = DATABASE
    await unregistered.refresh()
    assert unregistered.report() == [{"address": "10.0.0.9:5432", "connections": 1}]
    await unregistered.refresh()
    assert unregistered.report() == [{"address": "10.0.0.9:5432", "connections": 2}]
    seen.clear()
    await unregistered.refresh()
    assert unregistered.report() == []


async def test_a_registered_connection_is_not_and_another_to_the_same_address_is(connection: socket.socket) -> None:
    tunables = Tunables()
    tunables.add_pool(Pool(connection))
    found = {inode(connection): DATABASE, 1: DATABASE}
    unregistered = Unregistered(tunables, [], lambda: dict(found))
    await unregistered.refresh()
    await unregistered.refresh()
    assert unregistered.report() == [{"address": "10.0.0.9:5432", "connections": 1}]


async def test_known_addresses_are_nobodys_concern() -> None:
    found = {1: ("127.0.0.1", 4318), 2: ("127.0.0.1", 4319)}
    unregistered = Unregistered(Tunables(), [("localhost", 4318)], lambda: dict(found))
    await unregistered.refresh()
    await unregistered.refresh()
    assert unregistered.report() == [{"address": "127.0.0.1:4319", "connections": 1}]


async def test_the_sixteen_addresses_with_most_connections_are_reported() -> None:
    found = {number: ("10.0.0.9", number % 20) for number in range(30)}
    unregistered = Unregistered(Tunables(), [], lambda: dict(found))
    await unregistered.refresh()
    await unregistered.refresh()
    assert [entry["connections"] for entry in unregistered.report()] == [2] * 10 + [1] * 6


def test_the_collector_and_what_the_settings_allow_are_known() -> None:
    collector = OpenTelemetrySettings(exporter_otlp_endpoint="http://collector:4318/v1/traces")
    settings = Settings(serve=ServeSettings(unpooled="mail:25,[::1]:389"), opentelemetry=collector)
    assert known_addresses(settings) == [("mail", 25), ("::1", 389), ("collector", 4318)]
    with pytest.raises(ValidationError, match="unpooled"):
        ServeSettings(unpooled="mail")
