"""64 pods that send 4 MiB each: the operator refuses them and stays within the memory that the chart gives it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

pytestmark = pytest.mark.invariant
HOSTILE = {
    "long": b'{"schema": "paceline.dev/state/v1", "counts": [' + b"1," * (2 << 20) + b"1]}",
    "objects": b'{"schema": "paceline.dev/state/v1", "x": [' + b"{}," * ((1 << 20) // 3 - 50) + b"{}]}",
    "deep": b'{"a":' * 100_000,
}
SCRAPES = """
import asyncio, json, logging, sys
import aiohttp
import paceline_operator.wiring
from paceline_operator.ports import Pod, Trouble
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.scraper import PodScraper

async def scrape(url):
    logging.disable()
    async with aiohttp.ClientSession() as session:
        scraper = PodScraper(session, OperatorSettings(scrape_timeout_seconds=20))
        pods = [Pod(f"api-{n}", str(n), url, ready=True) for n in range(64)]
        reports = (await scraper.scrape(pods)).values()
    refused = sum(isinstance(report, Trouble) and report.reason == "ReportRefused" for report in reports)
    # Not getrusage: its peak counts what the test process had when it started this one.
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    print(json.dumps([refused, int(peak.split()[1]) / 1024]))

asyncio.run(scrape(sys.argv[1]))
"""


async def _respond(request: web.Request) -> web.Response:
    return web.Response(body=HOSTILE[request.match_info["kind"]])


@pytest_asyncio.fixture
async def pods() -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_get("/{kind}/state", _respond)
    async with TestServer(app) as server:
        yield server


@pytest.mark.parametrize("kind", HOSTILE)
async def test_hostile_reports_do_not_fill_the_operators_memory(pods: TestServer, kind: str) -> None:
    url = str(pods.make_url(f"/{kind}/state"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRAPES, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    refused, mebibytes = json.loads(output)
    assert refused == 64
    assert mebibytes < 200
