"""A worker's connections that no registered pool accounts for: one more worker would multiply them."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from paceline.resources.registry import Tunables
from paceline.settings import Settings
from paceline.telemetry.connections import Address, look, resolve, written

LOOK_SECONDS: Final = 3.0
MAX_ADDRESSES: Final = 16


class Unregistered:
    """Looks every three seconds, in a thread. Reports what it saw twice in turn, so nothing that is just opening."""

    def __init__(
        self, tunables: Tunables, known: Iterable[Address], look: Callable[[], dict[int, Address]] = look
    ) -> None:
        """
        Args:
            known: names or addresses, with ports, whose connections are nobody's concern.
        """
        self._tunables = tunables
        self._known = tuple(known)
        self._look = look
        self._resolved: set[Address] = set()
        self._suspects: set[int] = set()
        self._report: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Keeps the report fresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(LOOK_SECONDS)

    async def refresh(self) -> None:
        """Looks once."""
        found = await asyncio.to_thread(self._look)
        for inode in inodes(self._tunables.sockets()):
            found.pop(inode, None)
        if any(port in {known for _, known in self._known} for _, port in {*found.values()} - self._resolved):
            self._resolved |= await asyncio.to_thread(self._resolve)
        found = {inode: address for inode, address in found.items() if address not in self._resolved}
        seen_twice = [address for inode, address in found.items() if inode in self._suspects]
        self._suspects = set(found)
        self._report = counted(seen_twice)

    def report(self) -> list[dict[str, Any]]:
        """The shape of `unregistered` in `/state`: at most sixteen addresses, those with most connections."""
        return self._report

    def _resolve(self) -> set[Address]:
        return {address for host, port in self._known for address in resolve(host, port)}


def counted(addresses: Iterable[Address]) -> list[dict[str, Any]]:
    """The shape of `unregistered` in `/state`."""
    most = Counter(addresses).most_common(MAX_ADDRESSES)
    return [{"address": written(address), "connections": count} for address, count in most]


def inodes(transports: Iterable[Any]) -> set[int]:
    """Of transports, or of what else has a file descriptor; those that are closed have none."""
    found = set()
    for each in transports:
        sock = each.get_extra_info("socket") if hasattr(each, "get_extra_info") else each
        with suppress(OSError, ValueError):
            if sock is not None and sock.fileno() >= 0:
                found.add(os.fstat(sock.fileno()).st_ino)
    return found


def known_addresses(settings: Settings) -> list[Address]:
    """The collector's, and those that the settings allow outside of pools."""
    collector = settings.opentelemetry
    endpoints = [collector.exporter_otlp_endpoint, collector.exporter_otlp_traces_endpoint]
    pairs = [entry.rpartition(":") for entry in settings.serve.unpooled.split(",") if entry]
    allowed = [(host.strip("[]"), int(port)) for host, _, port in pairs]
    return [*allowed, *(address for url in endpoints if url and (address := _of_url(url)) is not None)]


def _of_url(url: str) -> Address | None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return None if parts.hostname is None else (parts.hostname, port)
