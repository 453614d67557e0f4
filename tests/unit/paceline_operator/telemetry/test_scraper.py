"""Scraping: of pods that answer well, badly or not at all, those that answer well are there."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Sequence

import aiohttp
import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from modelled_fleet import ModelPod, Service, start_values
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.ports import Pod, Trouble
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.scraper import PodScraper
from paceline_operator.telemetry.tracing import OtlpTracer

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
        reports = await scraper.scrape(pods)

    states = {uid: report for uid, report in reports.items() if not isinstance(report, Trouble)}
    assert set(states) == {"uid-good", "uid-pending"}
    assert states["uid-good"].values[WORKERS] == 3
    # A pod that is down is in the status alone; one whose report cannot be read is in the log, too.
    refused = [record.getMessage().split(" is refused:")[0] for record in caplog.records]
    assert refused == [f"the report of pod {name}" for name in ("html", "list", "unreadable", "large")]


async def test_a_pod_has_acked_what_it_runs_with_nothing_pending(scraped: tuple[PodScraper, Sequence[Pod]]) -> None:
    scraper, pods = scraped

    assert await scraper.acks(pods) == {"uid-good": 7}


@pytest.mark.invariant
async def test_each_other_pod_says_why_there_is_no_report(scraped: tuple[PodScraper, Sequence[Pod]]) -> None:
    scraper, pods = scraped
    reports = await scraper.scrape(pods)
    troubles = {uid: report for uid, report in reports.items() if isinstance(report, Trouble)}
    assert "uid-silent" not in reports
    assert {uid: trouble.reason for uid, trouble in troubles.items()} == {
        "uid-failing": "Silent",
        **{f"uid-{name}": "ReportRefused" for name in ("html", "list", "unreadable", "large")},
    }
    assert troubles["uid-large"].message == f"/state is longer than {1 << 19} bytes, and not read"
    assert "status 500" in troubles["uid-failing"].message


async def test_the_slowest_pod_is_on_the_span_that_waits_for_it(scraped: tuple[PodScraper, Sequence[Pod]]) -> None:
    exporter = InMemorySpanExporter()
    tracer = OtlpTracer(exporter, instance="operator")
    scraper, pods = scraped
    with tracer.span("observe"):
        await scraper.scrape([pod for pod in pods if pod.uid == "uid-good"])
    tracer.shutdown()

    (span,) = exporter.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert attributes["paceline.slowest_pod"] == "good"
    assert 0 < float(str(attributes["paceline.slowest_seconds"])) < 4


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


BOMB = gzip.compress(b" " * (64 << 20), compresslevel=1)
"""Compressed before any deadline runs."""


async def _bomb(request: web.Request) -> web.Response:
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})


@pytest.mark.invariant
async def test_pods_that_never_end_a_response_delay_nobody_else() -> None:
    app = web.Application()
    app.router.add_get("/endless/state", _endless)
    app.router.add_get("/bomb/state", _bomb)
    app.router.add_get("/{pod}/state", _answer)
    settings = OperatorSettings(scrape_timeout_seconds=4, scrape_concurrency=8)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        scraper = PodScraper(session, settings)

        def pods(name: str, number: int) -> list[Pod]:
            return [Pod(name, f"{name}-{n}", str(server.make_url(f"/{name}/state")), ready=True) for n in range(number)]

        slow = asyncio.create_task(scraper.scrape(pods("endless", 12)))
        await asyncio.sleep(0.1)
        begun = asyncio.get_running_loop().time()
        found = await scraper.scrape(pods("good", 6))
        took = asyncio.get_running_loop().time() - begun
        assert not [report for report in found.values() if isinstance(report, Trouble)]
        assert took < 3
        assert {report.reason for report in (await slow).values() if isinstance(report, Trouble)} == {"Silent"}
        (bomb,) = (await scraper.scrape(pods("bomb", 1))).values()
        assert bomb == Trouble("ReportRefused", "/state comes in an encoding that was not asked for")
