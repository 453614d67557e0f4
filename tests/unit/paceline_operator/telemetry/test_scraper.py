"""Scraping: of pods that answer well, badly or not at all, those that answer well are there."""

import logging

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from modelled_fleet import ModelPod, Service, start_values
from paceline_operator.core.model import WORKERS
from paceline_operator.ports import Pod
from paceline_operator.telemetry.scraper import PodScraper

GOOD = ModelPod("good", start_values(3, 5), start_values()).state(Service())
BODIES = {
    "good": orjson.dumps(GOOD),
    "html": b"<html>",
    "list": b"[]",
    "unreadable": orjson.dumps({**GOOD, "accepts": None}),
    "large": b" " * (1 << 20),
}


async def _answer(request: web.Request) -> web.Response:
    body = BODIES.get(request.match_info["pod"])
    return web.Response(status=500) if body is None else web.Response(body=body)


async def test_only_pods_whose_answer_means_something_report(caplog: pytest.LogCaptureFixture) -> None:
    app = web.Application()
    app.router.add_get("/{pod}/state", _answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        pods = [Pod(name, f"uid-{name}", str(server.make_url(f"/{name}/state")), ready=True) for name in BODIES]
        failing = Pod("failing", "uid-failing", str(server.make_url("/failing/state")), ready=True)
        silent = Pod("silent", "uid-silent", None, ready=True)

        with caplog.at_level(logging.WARNING):
            states = await PodScraper(session, max_bytes=1 << 19).scrape([*pods, failing, silent])

    assert set(states) == {"uid-good"}
    assert states["uid-good"].values[WORKERS] == 3
    # A pod that is down is nothing to say; one whose answer cannot be read is, with its name.
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["pod unreadable"]
