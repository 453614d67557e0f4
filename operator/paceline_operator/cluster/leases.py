"""One operator per namespace: the Lease `paceline-operator` says which. Another one stands by until it is free.

It is free where its holder let go of it, was a process of this very machine (or pod) that has ended, or has not touched
it for a minute. That minute is counted by our own clock, from when we saw the Lease change last: the time that stands
in it is by the clock of another machine, which may be wrong by hours, and is compared with nothing (as in client-go).
"""

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.refusals import Missing
from paceline_operator.ports import Conflict, PlatformUnavailable

NAME: Final = "paceline-operator"
LASTS: Final = timedelta(seconds=60)
RENEWED_EVERY: Final = timedelta(seconds=15)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, named `HOST_PID`."""

    host: str
    pid: int

    def __str__(self) -> str:
        return f"{self.host}_{self.pid}"

    def has_ended_here(self, other: str) -> bool:
        """Whether that name is one of an earlier process of this host."""
        host, _, pid = other.rpartition("_")
        return host == self.host and pid.isdigit() and (int(pid) == self.pid or not _alive(int(pid)))


@dataclass(frozen=True, slots=True)
class Seen:
    """What stood in another's Lease, and since when by our clock."""

    spec: Mapping[str, Any]
    since: float
    looked: float
    """When it was looked at last: while we were away, its holder may not have been able to touch it, either."""


class Leases:
    """Fulfils `ports.Exclusion`."""

    def __init__(
        self,
        server: ApiServer,
        holder: Holder,
        *,
        now: Callable[[], datetime],
        operator_class: str = "",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`now` is what others read in a Lease; `clock` gives seconds, for what is decided here. Operators of different
        classes have a Lease each."""
        self._name = f"{NAME}-{operator_class}" if operator_class else NAME
        self._server = server
        self._holder = holder
        self._now = now
        self._clock = clock
        self._held: dict[str, float] = {}
        self._seen: dict[str, Seen] = {}
        self._claiming: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One claim of a namespace at a time: the first passes of its policies would be in each other's way."""

    async def other(self, namespace: str) -> str | None:
        """Who else works on the policies of the namespace; None where we do, which is so from now on.

        Raises:
            PlatformUnavailable: the API server does not respond, or refuses.
        """
        async with self._claiming[namespace]:
            held = self._held.get(namespace)
            if held is not None and self._clock() - held < 2 * RENEWED_EVERY.total_seconds():
                return None
            for _ in range(2):
                try:
                    return await self._claimed(namespace)
                except Conflict:
                    continue  # somebody was faster: see who
            return "another operator"

    async def keep(self) -> None:
        """Renews what is held, until cancelled."""
        while True:
            await asyncio.sleep(RENEWED_EVERY.total_seconds())
            for namespace in tuple(self._held):
                try:
                    async with self._claiming[namespace]:
                        await self._claimed(namespace)
                except (Conflict, PlatformUnavailable) as error:
                    logger.warning("the Lease %s of namespace %s was not renewed: %s", self._name, namespace, error)

    async def release(self) -> None:
        """Lets go of all, so that the next operator need not wait; best effort."""
        held, self._held = tuple(self._held), {}
        for namespace in held:
            try:
                await self._let_go(namespace)
            except (Missing, Conflict, PlatformUnavailable) as error:
                logger.warning("the Lease %s of namespace %s was not released: %s", self._name, namespace, error)

    async def _let_go(self, namespace: str) -> None:
        lease = await self._server.get(_path(namespace, self._name))
        if lease["spec"].get("holderIdentity") == str(self._holder):
            free = {**lease["spec"], "holderIdentity": ""}
            await self._server.replace(_path(namespace, self._name), {**lease, "spec": free})

    async def _claimed(self, namespace: str) -> str | None:
        asked = self._clock()
        try:
            lease = await self._server.get(_path(namespace, self._name))
        except Missing:
            await self._create(namespace)
        else:
            holder = self._holder_of(namespace, lease, asked)
            if holder:
                self._held.pop(namespace, None)
                return holder
            await self._server.replace(_path(namespace, self._name), {**lease, "spec": self._spec()})
        self._held[namespace] = asked
        self._seen.pop(namespace, None)
        return None

    async def _create(self, namespace: str) -> None:
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": self._spec()}
        metadata = {"name": self._name, "namespace": namespace}
        try:
            await self._server.create(_path(namespace), {**body, "metadata": metadata})
        except Missing as error:
            raise Conflict(f"namespace {namespace} is gone") from error

    def _holder_of(self, namespace: str, lease: Mapping[str, Any], now: float) -> str:
        """Empty where it is free, or ours."""
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        if not holder or self._holder.has_ended_here(holder):
            return ""
        seen = self._seen.get(namespace)
        fresh = seen is None or seen.spec != spec or now - seen.looked > LASTS.total_seconds()
        since = now if seen is None or fresh else seen.since
        self._seen[namespace] = Seen(spec, since, now)
        return "" if now - since > LASTS.total_seconds() else holder

    def _spec(self) -> dict[str, Any]:
        return {
            "holderIdentity": str(self._holder),
            "leaseDurationSeconds": int(LASTS.total_seconds()),
            "renewTime": self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }


def _path(namespace: str, name: str = "") -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    return f"{path}/{name}" if name else path


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
