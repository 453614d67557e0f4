"""Scraping: of pods that answer well, badly or not at all, those that answer well are there."""

import logging
from collections.abc import AsyncIterator, Sequence

import aiohttp
import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from modelled_fleet import ModelPod, Service, start_values
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.ports import Pod
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.scraper import PodScraper

GOOD = ModelPod("good", start_values(3, 5), start_values(), generation=7).state(Service())
PENDING = ModelPod("pending", start_values(3, 5), start_values(), generation=7, pending=["workers"]).state(Service())
BODIES = {
    "good": orjson.dumps(GOOD),
    "html": b"<html>",
    "list": b"[]",
    "pending": orjson.dumps(PENDING),
    "unreadable": orjson.dumps({**GOOD, "tuning": None}),
    "large": b" " * (1 << 20),
}


async def _answer(request: web.Request) -> web.Response:
    body = BODIES.get(request.match_info["pod"])
    return web.Response(status=500) if body is None else web.Response(body=body)


@pytest_asyncio.fixture
async def scraped() -> AsyncIterator[tuple[PodScraper, Sequence[Pod]]]:
    """A scraper, and pods that answer what their names say; one fails, one has no port."""
    app = web.Application()
    app.router.add_get("/{pod}/state", _answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        names = (*BODIES, "failing")
        found = [Pod(name, f"uid-{name}", str(server.make_url(f"/{name}/state")), ready=True) for name in names]
        silent = Pod("silent", "uid-silent", None, ready=True)
        yield PodScraper(session, OperatorSettings(scrape_max_bytes=1 << 19)), [*found, silent]


async def test_only_pods_whose_answer_means_something_report(
    scraped: tuple[PodScraper, Sequence[Pod]], caplog: pytest.LogCaptureFixture
) -> None:
    scraper, pods = scraped
    with caplog.at_level(logging.WARNING):
        states = await scraper.scrape(pods)

    assert set(states) == {"uid-good", "uid-pending"}
    assert states["uid-good"].values[WORKERS] == 3
    # A pod that is down is nothing to say; one whose answer cannot be read is, with its name.
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["pod unreadable"]


async def test_a_pod_has_acked_what_it_runs_with_nothing_pending(scraped: tuple[PodScraper, Sequence[Pod]]) -> None:
    scraper, pods = scraped

    assert await scraper.acks(pods) == {"uid-good": 7}
