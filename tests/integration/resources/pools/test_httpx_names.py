"""While a name server is waited for, httpx and httpx2 hold no permit; connections go to the addresses it gave."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable
from typing import Any

import httpx
import httpx2
import pytest
from counting_server import Count
from http_clients import httpx_limits
from paceline import tune

Servers = tuple[list[str], Count]


class Names:
    """Stands for the name servers that the event loop asks."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known
        self.asked: list[str] = []
        self.go = asyncio.Event()

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        if name.startswith("slow"):
            await self.go.wait()
        if name not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in self.known[name]
        ]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    here = ["127.0.0.1"]
    names = Names({"slow.test": here, "quick.test": here, "many.test": ["::1", "127.0.0.2", "127.0.0.1"]})
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
    return names


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["upstream"]
    return pool


def port_of(url: str) -> str:
    return url.rstrip("/").rpartition(":")[2]


@pytest.mark.invariant
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "by a proxy"])
async def test_a_slow_name_keeps_nobody_else_waiting(
    proxied: bool, library: Any, servers: Servers, names: Names, tunables: tune.Tunables
) -> None:
    (here, _), seen = servers
    slow = f"http://slow.test:{port_of(here)}/"
    options: dict[str, Any] = {"limits": httpx_limits(library, 10), "trust_env": False, "timeout": 60}
    if proxied:
        options["mounts"] = {
            "http://far.test": library.AsyncHTTPTransport(proxy=slow, limits=httpx_limits(library, 10))
        }
    async with library.AsyncClient(**options) as client:
        tune.pool(client, name="upstream", limit=2, tunables=tunables)

        async def outcome(url: str) -> None:
            with contextlib.suppress(library.HTTPError):  # the server is no proxy
                await client.get(url)

        waiting = [asyncio.create_task(outcome("http://far.test/" if proxied else slow)) for _ in range(5)]
        while len(names.asked) < 5:  # noqa: ASYNC110 - a resolver tells nobody
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await client.get(here)
            await client.get(f"http://quick.test:{port_of(here)}/")
        assert names.asked.count("quick.test") == 1, "one lookup for one request"
        assert report(tunables)["inUse"] == 0
        names.go.set()
        await asyncio.gather(*waiting)
        assert (report(tunables)["inUse"], seen.highest) == (0, 2)


async def test_an_idle_connection_needs_no_name(
    library: Any, servers: Servers, names: Names, tunables: tune.Tunables
) -> None:
    (here, _), _ = servers
    async with library.AsyncClient(limits=httpx_limits(library, 10), trust_env=False) as client:
        tune.pool(client, name="upstream", limit=2, tunables=tunables)
        for _ in range(3):
            await client.get(f"http://quick.test:{port_of(here)}/")
        await client.get(here)
    assert names.asked == ["quick.test"]


async def test_the_next_address_is_tried_when_one_fails(
    library: Any, servers: Servers, names: Names, tunables: tune.Tunables, eventually: Any
) -> None:
    (here, _), seen = servers
    async with library.AsyncClient(limits=httpx_limits(library, 10), trust_env=False) as client:
        tune.pool(client, name="upstream", limit=2, tunables=tunables)
        assert (await client.get(f"http://many.test:{port_of(here)}/")).content == b"ok"
        with pytest.raises(library.ConnectError):
            await client.get("http://many.test:1/")

        async def settled() -> bool:
            return bool(seen.open == report(tunables)["open"] == 1)

        await eventually(settled, "one connection")


async def test_names_that_fail_or_take_too_long_are_the_drivers_own_errors(
    library: Any, names: Names, tunables: tune.Tunables
) -> None:
    async with library.AsyncClient(limits=httpx_limits(library, 10), trust_env=False) as client:
        tune.pool(client, name="upstream", limit=1, tunables=tunables)
        with pytest.raises(library.ConnectError, match="no such name"):
            await client.get("http://unknown.test/")
        with pytest.raises(library.ConnectTimeout):
            await client.get("http://slow.test/", timeout=library.Timeout(5, connect=0.05))
    assert (report(tunables)["inUse"], report(tunables)["open"]) == (0, 0)


async def test_a_second_attempt_asks_again(library: Any, names: Names, tunables: tune.Tunables) -> None:
    transport = library.AsyncHTTPTransport(retries=1, limits=httpx_limits(library, 10))
    async with library.AsyncClient(transport=transport) as client:
        tune.pool(client, name="upstream", limit=1, tunables=tunables)
        with pytest.raises(library.ConnectError):
            await client.get("http://quick.test:1/")
    assert names.asked == ["quick.test"] * 2


@pytest.mark.invariant
async def test_cancelled_lookups_leak_nothing(
    library: Any, servers: Servers, names: Names, tunables: tune.Tunables, eventually: Any
) -> None:
    (here, _), seen = servers
    async with library.AsyncClient(limits=httpx_limits(library, 10), trust_env=False, timeout=60) as client:
        tune.pool(client, name="upstream", limit=2, tunables=tunables)

        async def use(host: str) -> None:
            await client.get(f"http://{host}:{port_of(here)}/")

        tasks: list[Awaitable[Any]] = []
        for moment in range(100):
            tasks.append(task := asyncio.ensure_future(use(("quick.test", "many.test", "slow.test")[moment % 3])))
            for _ in range(moment % 25):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        async def settled() -> bool:
            pool = report(tunables)
            return bool(pool["inUse"] == pool["waiting"] == 0 and pool["open"] == seen.open <= 2)

        await eventually(settled, "all permits back")
        await use("quick.test")
