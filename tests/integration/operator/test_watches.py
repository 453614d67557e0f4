"""Workloads listed and watched from an API server at protocol level, which can be made to page, expire and break."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client import Configuration
from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.watches import Watched, watch_for_ever, workloads_in

DEPLOYMENTS = Watched("Deployment", "deployments")
PADDING = "x" * 9000
MIB = 1 << 20


class Workloads:
    """`deployments` of a cluster: what lists and watches answer, and what was asked."""

    def __init__(self) -> None:
        self.names = ["api"]
        self.asked: list[Mapping[str, str]] = []
        self.events: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        """Each is told by the watch that is open; None ends it."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        return await self._watch(request) if "watch" in request.query else self._page(request)

    def _page(self, request: web.Request) -> web.Response:
        first, most = int(request.query.get("continue", 0)), int(request.query["limit"])
        metadata = {"resourceVersion": "100"}
        if first + most < len(self.names):
            metadata["continue"] = str(first + most)
        page = {"metadata": metadata, "items": [deployment(name) for name in self.names[first : first + most]]}
        return web.Response(body=orjson.dumps(page), content_type="application/json")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await self.events.get()) is not None:
            await response.write(orjson.dumps(event) + b"\n")
        return response


def deployment(name: str, version: str = "1") -> dict[str, Any]:
    """Of the size of a real one; the items of a list do not say their kind."""
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": PADDING}
    metadata = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": version, "annotations": annotations}
    return {"metadata": metadata, "spec": {"replicas": 1}}


class Heard:
    """What the watch told, as (kind, name, deleted)."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, bool]] = []
        self._more = asyncio.Event()

    def __call__(self, body: Mapping[str, Any], *, deleted: bool) -> None:
        self.all.append((body["kind"], body["metadata"]["name"], deleted))
        self._more.set()

    async def until(self, number: int) -> None:
        async with asyncio.timeout(20):
            while len(self.all) < number:
                self._more.clear()
                await self._more.wait()


class Scene:
    """A watch at work on the server."""

    def __init__(self, cluster: Workloads, server: ApiServer) -> None:
        self.cluster, self.server, self.heard = cluster, server, Heard()
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.task = asyncio.create_task(watch_for_ever(self.server, DEPLOYMENTS, self.heard, [0.01] * 100))


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    cluster = Workloads()
    application = web.Application()
    application.router.add_get(DEPLOYMENTS.path, cluster.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    server = ApiServer(Configuration(host=f"http://{host}:{port}"), deadline_seconds=10)
    built = Scene(cluster, server)
    yield built
    if built.task is not None:
        built.task.cancel()
        await asyncio.wait([built.task])
    await server.close()
    await runner.cleanup()


async def test_all_that_there_is_is_told_and_then_each_change(scene: Scene) -> None:
    scene.begin()
    scene.cluster.events.put_nowait({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "120"}}})
    scene.cluster.events.put_nowait({"type": "ADDED", "object": deployment("new", "121")})
    scene.cluster.events.put_nowait({"type": "DELETED", "object": deployment("new", "122")})
    await scene.heard.until(3)
    assert scene.heard.all == [
        ("Deployment", "api", False),
        ("Deployment", "new", False),
        ("Deployment", "new", True),
    ]


async def test_a_watch_that_ends_goes_on_where_it_was(scene: Scene) -> None:
    scene.begin()
    scene.cluster.events.put_nowait({"type": "MODIFIED", "object": deployment("api", "130")})
    scene.cluster.events.put_nowait(None)
    scene.cluster.events.put_nowait({"type": "MODIFIED", "object": deployment("api", "131")})
    await scene.heard.until(3)
    assert [one.get("resourceVersion") for one in scene.cluster.asked] == [None, "100", "130"]


async def test_a_version_that_the_server_forgot_is_listed_anew(scene: Scene) -> None:
    scene.begin()
    scene.cluster.events.put_nowait({"type": "ERROR", "object": {"code": 410, "message": "too old"}})
    scene.cluster.events.put_nowait(None)
    await scene.heard.until(2)
    assert [name for _, name, _ in scene.heard.all] == ["api", "api"]


async def test_an_error_in_the_watch_is_tried_again(scene: Scene) -> None:
    scene.begin()
    scene.cluster.events.put_nowait({"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}})
    scene.cluster.events.put_nowait(None)
    await scene.heard.until(2)
    assert scene.task is not None
    assert not scene.task.done()


async def test_five_thousand_workloads_are_read_within_40_mib(scene: Scene) -> None:
    scene.cluster.names = [f"api-{number}" for number in range(5000)]
    tracemalloc.start()
    try:
        scene.begin()
        await scene.heard.until(5000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 40 * MIB
    assert max(int(one.get("limit", 0)) for one in scene.cluster.asked) == 100


def test_each_kind_is_watched_in_each_namespace_or_once_in_all() -> None:
    assert [each.path for each in workloads_in(())] == ["/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets"]
    assert [each.path for each in workloads_in(("shop", "data"))] == [
        "/apis/apps/v1/namespaces/shop/deployments",
        "/apis/apps/v1/namespaces/data/deployments",
        "/apis/apps/v1/namespaces/shop/statefulsets",
        "/apis/apps/v1/namespaces/data/statefulsets",
    ]
