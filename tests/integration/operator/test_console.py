"""The console over HTTP, and in a real browser: what it refuses, what it shows, and that it stays live."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from browser import Page, page
from console_pages import BUDGET, KEY, START, Clock, api, fleet, heard
from paceline_operator.console.server import MOST_STREAMS, Console, console_endpoint
from paceline_operator.errors import UsageError
from paceline_operator.figures import Conclusion
from paceline_operator.listening import listening
from paceline_operator.ports import PolicyKey
from serving import free_ports

POLICY = "/policies/shop/api"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    listener, clock = heard()
    (port,) = free_ports(1)
    async with listening(Console(listener, now=clock).application(), f"127.0.0.1:{port}", what="it", setting="X"):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8082", "127.0.0.1.evil.example", "[::1", "", "10.0.0.1"]
)
async def test_a_name_that_is_not_this_machines_is_refused(url: str, host: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/", POLICY, "/events", "/script.js"):
            async with session.get(url + path, headers={"Host": host}) as response:
                assert response.status in (400, 421), path
                assert "shop" not in await response.text()


@pytest.mark.parametrize("host", ["localhost", "localhost:8082", "127.0.0.1:1", "[::1]:8082"])
async def test_this_machines_names_are_served_with_a_strict_policy(url: str, host: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": host}) as response:
        assert response.status == 200
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_it_is_read_only_and_unknown_names_are_404(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            async with session.request(method, url + POLICY) as response:
                assert response.status == 405
        for path in ("/policies/shop/none", "/none", "/policies/%3Cscript%3E/x"):
            async with session.get(url + path) as response:
                assert response.status == 404
                assert "<script>" not in (await response.text()).replace('<script src="/script.js" defer></script>', "")


async def test_only_so_many_pages_are_told_of_news(url: str) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        streams = [await session.get(f"{url}/events") for _ in range(MOST_STREAMS)]
        assert {stream.status for stream in streams} == {200}
        assert (await streams[0].content.readline()).startswith(b"data: ")
        async with session.get(f"{url}/events") as one_more:
            assert one_more.status == 503
        for stream in streams:
            stream.close()


async def test_a_page_names_the_news_in_it_so_that_what_comes_while_it_loads_is_not_missed() -> None:
    (port,) = free_ports(1)
    bind = f"127.0.0.1:{port}"
    async with console_endpoint(bind, now=Clock()) as listener, aiohttp.ClientSession() as session:
        assert listener is not None
        listener.tell(KEY, api(0))
        for path in ("/", POLICY, "/policies/shop/none"):
            async with session.get(f"http://{bind}{path}") as response:
                assert f'data-version="{listener.version}"' in await response.text()
        shown = listener.version
        async with session.get(f"http://{bind}/events") as events:
            assert await events.content.readline() == f"data: {shown}\n".encode()
            listener.tell(KEY, api(1))
            assert await events.content.readline() == b"\n"
            assert await events.content.readline() == f"data: {listener.version}\n".encode()
            assert listener.version != shown


@pytest.mark.parametrize("bind", ["0.0.0.0:8082", "10.0.0.1:80", "[::]:80", "example.com:80", "127.0.0.1"])
async def test_it_listens_on_loopback_only(bind: str) -> None:
    with pytest.raises(UsageError):
        async with console_endpoint(bind, now=Clock()):
            pass


async def test_without_an_address_there_is_no_console() -> None:
    async with console_endpoint("", now=Clock()) as listener:
        assert listener is None


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Page]:
    async with page(tmp_path) as found:
        yield found


async def test_in_a_browser_it_is_live_and_complains_of_nothing(tab: Page, tmp_path: Path) -> None:
    clock = Clock()
    (port,) = free_ports(1)
    bind = f"127.0.0.1:{port}"
    async with console_endpoint(bind, now=clock) as listener:
        assert listener is not None
        await tab.open(f"http://{bind}/")
        await tab.until("document.querySelector('.live.on')", "it says that it is live")
        await tab.until("document.querySelector('.empty')", "an empty fleet")
        for key, figures in fleet(0):
            listener.tell(key, figures)
        listener.tell_budget(PolicyKey("data", "main"), BUDGET)
        await tab.until("document.querySelectorAll('#fleet > li').length === 3", "policies appear by themselves")

        await tab.press("/")
        await tab.until("document.activeElement.id === 'filter'", "the key / goes to the filter")
        for key in "rep":
            await tab.press(key)
        visible = "[...document.querySelectorAll('#fleet > li')].filter((row) => !row.hidden).length"
        await tab.until(f"{visible} === 1", "the filter hides the others")
        clock.now = START + timedelta(minutes=15)
        for key, figures in fleet(15):
            listener.tell(key, figures)
        told = "document.querySelector('#fleet').textContent.includes('PoolWaitHigh')"
        kept = f"{visible} === 1 && document.activeElement.id === 'filter'"
        await tab.until(f"{told} && {kept}", "news leave filter and focus")

        await tab.open(f"http://{bind}{POLICY}")
        await tab.until("document.querySelectorAll('.decisions li').length === 1", "one decision")
        clock.now = START + timedelta(minutes=25)
        listener.tell(KEY, api(25))
        await tab.until("document.querySelectorAll('.decisions li').length === 2", "one more appears by itself")
        assert await tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        await tab.size(360, 740, phone=True)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
        assert tab.complaints == []
    await tab.until(
        "document.querySelector('.live.lost') && !document.getElementById('trouble').hidden",
        "it says that it lost the operator",
    )
    async with console_endpoint(bind, now=clock) as listener:
        assert listener is not None
        await tab.until("document.querySelector('.live.on')", "it finds a new operator by itself")


async def test_two_hundred_policies_are_there_at_once(tab: Page) -> None:
    listener, clock = heard(5)
    for number in range(200):
        figures = dataclasses.replace(api(number % 50), conclusion=Conclusion("WithinTolerance", "held " * 20))
        listener.tell(PolicyKey("shop", f"service-{number}"), figures)
    (port,) = free_ports(1)
    async with listening(Console(listener, now=clock).application(), f"127.0.0.1:{port}", what="it", setting="X"):
        await tab.open(f"http://127.0.0.1:{port}/")
        assert await tab.evaluate("document.querySelectorAll('#fleet > li').length") == 203
        took = await tab.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    assert took < 5000, "milliseconds; on a quiet machine below 1000"
