"""List and watch the workloads of a cluster, with memory for one page of them at a time.

kopf keeps a task and a record for each object that it sees, which is right for our own resources and too much for
thousands of Deployments of which a few are targets. Here an object is told and let go.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.refusals import Missing
from paceline_operator.ports import Conflict, PlatformUnavailable

PAGE: Final = 100
"""Objects a page of a list: of 10 KB each, a megabyte on the wire and some six as Python objects."""
WATCH_SECONDS: Final = 300
"""How long the API server keeps a watch open; the next goes on where it ended."""
_FIRST: Final = (1, 1, 2, 3, 5, 8, 13, 21)
_GONE: Final = 410
_BETWEEN_SECONDS: Final = 0.1
"""So that a proxy that ends each watch at once is not asked in a tight loop."""

logger = logging.getLogger(__name__)


class Told(Protocol):
    """What becomes of an object that came, changed or went."""

    def __call__(self, body: Mapping[str, Any], *, deleted: bool) -> None: ...


class EndlessBackoffs:
    """Seconds between attempts, for ever: kopf's own list ends after 54 s, and with it the watch.

    Past the first minute 20–40 s, spread so that operators do not return in step after an outage.
    """

    def __iter__(self) -> Iterator[float]:
        yield from _FIRST
        while True:
            yield 20 + 20 * random.random()  # noqa: S311 - no secret


@dataclass(frozen=True)
class Watched:
    """A kind of `apps/v1`, in one namespace or in all."""

    kind: str
    plural: str
    namespace: str | None = None

    @property
    def path(self) -> str:
        within = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"/apis/apps/v1{within}/{self.plural}"

    def __str__(self) -> str:
        return f"{self.plural}.v1.apps@{self.namespace or 'all namespaces'}"


def workloads_in(namespaces: Sequence[str]) -> list[Watched]:
    """What is watched; no namespaces: all of the cluster."""
    kinds = (("Deployment", "deployments"), ("StatefulSet", "statefulsets"))
    return [Watched(kind, plural, namespace) for kind, plural in kinds for namespace in namespaces or (None,)]


async def watch_for_ever(
    server: ApiServer, watched: Watched, told: Told, backoffs: Iterable[float] | None = None
) -> None:
    """Tells every object that there is, then every change. Failures are logged and tried again, as `backoffs` say."""
    waits = backoffs or EndlessBackoffs()
    pauses = iter(waits)
    while True:
        try:
            version = await _list(server, watched, told)
            pauses = iter(waits)
            while True:
                version = await _watch(server, watched, told, version)
                await asyncio.sleep(_BETWEEN_SECONDS)
        except _Expired:
            await asyncio.sleep(_BETWEEN_SECONDS)
        except (PlatformUnavailable, Conflict, Missing) as error:
            pause = next(pauses)
            logger.warning("the watch of %s ended, the next begins in %.0f s: %s", watched, pause, error)
            await asyncio.sleep(pause)


class _Expired(Exception):
    """The API server no longer knows the version to go on from; list anew."""


async def _list(server: ApiServer, watched: Watched, told: Told) -> str:
    """Page by page; the version to watch from."""
    query = {"limit": str(PAGE)}
    while True:
        page = await server.get(watched.path, **query)
        for item in page["items"]:
            _tell(watched, told, item, deleted=False)
        following = page["metadata"].get("continue")
        if not following:
            return str(page["metadata"]["resourceVersion"])
        query["continue"] = following
        del page  # one at a time


async def _watch(server: ApiServer, watched: Watched, told: Told, version: str) -> str:
    """Until the API server ends it; the version to go on from. Raises _Expired."""
    query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
    events = server.events(watched.path, WATCH_SECONDS, resourceVersion=version, **query)
    async for event in events:
        item = event["object"]
        if event["type"] == "ERROR":
            if item.get("code") == _GONE:
                raise _Expired
            raise PlatformUnavailable(f"the API server ended the watch: {item.get('message', 'it does not say why')}")
        version = item["metadata"]["resourceVersion"]
        if event["type"] != "BOOKMARK":
            _tell(watched, told, item, deleted=event["type"] == "DELETED")
    return version


def _tell(watched: Watched, told: Told, item: Mapping[str, Any], *, deleted: bool) -> None:
    """The items of a list do not say their kind."""
    told({**item, "apiVersion": "apps/v1", "kind": watched.kind}, deleted=deleted)


def start_watches(server: ApiServer, namespaces: Sequence[str], told: Told) -> Callable[[], None]:
    """One task a kind and namespace, named as the liveness probe counts them; returns what ends them."""
    tasks = [
        asyncio.create_task(watch_for_ever(server, watched, told), name=f"watcher for {watched}")
        for watched in workloads_in(namespaces)
    ]

    def end() -> None:
        for task in tasks:
            task.cancel()

    return end
