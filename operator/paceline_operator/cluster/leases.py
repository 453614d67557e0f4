"""One operator per namespace: the Lease `paceline-operator` says which. Another one stands by until it is free.

It is free where its holder let go of it, has not renewed it for a minute, or was a process of this very machine (or
pod) that has ended.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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


class Leases:
    """Fulfils `ports.Exclusion`."""

    def __init__(self, server: ApiServer, holder: Holder, *, now: Callable[[], datetime]) -> None:
        self._server = server
        self._holder = holder
        self._now = now
        self._held: dict[str, datetime] = {}

    async def other(self, namespace: str) -> str | None:
        """Who else works on the policies of the namespace; None where we do, which is so from now on.

        Raises:
            PlatformUnavailable: the API server does not respond, or refuses.
        """
        held = self._held.get(namespace)
        if held is not None and self._now() - held < 2 * RENEWED_EVERY:
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
                    await self._claimed(namespace)
                except (Conflict, PlatformUnavailable) as error:
                    logger.warning("the Lease %s of namespace %s was not renewed: %s", NAME, namespace, error)

    async def release(self) -> None:
        """Lets go of all, so that the next operator need not wait; best effort."""
        held, self._held = tuple(self._held), {}
        for namespace in held:
            try:
                await self._let_go(namespace)
            except (Missing, Conflict, PlatformUnavailable) as error:
                logger.warning("the Lease %s of namespace %s was not released: %s", NAME, namespace, error)

    async def _let_go(self, namespace: str) -> None:
        lease = await self._server.get(_path(namespace))
        if lease["spec"].get("holderIdentity") == str(self._holder):
            free = {**lease["spec"], "holderIdentity": ""}
            await self._server.replace(_path(namespace), {**lease, "spec": free})

    async def _claimed(self, namespace: str) -> str | None:
        now = self._now()
        try:
            lease = await self._server.get(_path(namespace))
        except Missing:
            await self._create(namespace, now)
        else:
            holder = self._holder_of(lease, now)
            if holder:
                self._held.pop(namespace, None)
                return holder
            await self._server.replace(_path(namespace), {**lease, "spec": self._spec(now)})
        self._held[namespace] = now
        return None

    async def _create(self, namespace: str, now: datetime) -> None:
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": self._spec(now)}
        metadata = {"name": NAME, "namespace": namespace}
        try:
            await self._server.create(_path(namespace, ""), {**body, "metadata": metadata})
        except Missing as error:
            raise Conflict(f"namespace {namespace} is gone") from error

    def _holder_of(self, lease: Mapping[str, Any], now: datetime) -> str:
        """Empty where it is free, or ours."""
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        renewed = _time(spec.get("renewTime"))
        if not holder or self._holder.has_ended_here(holder) or renewed is None or now - renewed > LASTS:
            return ""
        return holder

    def _spec(self, now: datetime) -> dict[str, Any]:
        return {
            "holderIdentity": str(self._holder),
            "leaseDurationSeconds": int(LASTS.total_seconds()),
            "renewTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }


def _path(namespace: str, name: str = NAME) -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    return f"{path}/{name}" if name else path


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
