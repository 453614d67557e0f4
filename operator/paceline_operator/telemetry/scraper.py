"""GET /state of every pod. A pod that is slow or down, or whose report cannot be read, says why: missing is not zero.

Whatever listens on a pod's port may send anything, for as long as they like. Each response has a deadline and a most
bytes, and so have all that are read at the same time: `_SMALL_BYTES` each, and more for a few at a time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any, Final, TypeAlias, TypeVar

import aiohttp
from opentelemetry import trace

from paceline_operator.core.measure.pods import PodState
from paceline_operator.errors import InvalidState
from paceline_operator.ports import Pod, Trouble
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.state import parse_ack, parse_state
from paceline_operator.telemetry.strict_json import parse_object

_Parsed = TypeVar("_Parsed")
_Parse: TypeAlias = Callable[[Mapping[str, Any]], _Parsed]

SILENT: Final = "Silent"
REFUSED: Final = "ReportRefused"
_SMALL_BYTES: Final = 1 << 18
"""Nearly every report is a tenth of it."""
_LARGE_AT_ONCE: Final = 4
_CHUNK_BYTES: Final = 1 << 16
_PLAIN: Final = {"Accept-Encoding": "identity"}
"""A compressed response may be a thousand times as long as what was counted."""
_LONGEST_MESSAGE: Final = 300

logger = logging.getLogger(__name__)


class PodScraper:
    """Fulfils `ports.Telemetry`. The session is the caller's, who closes it."""

    def __init__(self, session: aiohttp.ClientSession, settings: OperatorSettings) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=settings.scrape_timeout_seconds)
        self._seconds = settings.scrape_timeout_seconds
        self._slots = asyncio.Semaphore(settings.scrape_concurrency)
        self._share = max(1, settings.scrape_concurrency // 2)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._max_bytes = settings.scrape_max_bytes

    async def scrape(self, pods: Sequence[Pod]) -> Mapping[str, PodState | Trouble]:
        """By uid, `/state` of each pod that has such a port, or why there is none."""
        took: dict[str, float] = {}
        reports = await self._all(pods, parse_state, took)
        _tell_slowest(pods, took)
        for pod in pods:
            report = reports.get(pod.uid)
            if isinstance(report, Trouble) and report.reason == REFUSED:
                logger.warning("the report of pod %s is refused: %s", pod.name, report.message)
        return reports

    async def acks(self, pods: Sequence[Pod]) -> Mapping[str, int]:
        """By pod uid, the generation that the pod runs with nothing left to do; others are absent."""
        found = await self._all(pods, parse_ack, {})
        return {uid: generation for uid, generation in found.items() if isinstance(generation, int)}

    async def _all(
        self, pods: Sequence[Pod], parse: _Parse[_Parsed], took: dict[str, float]
    ) -> Mapping[str, _Parsed | Trouble]:
        asked = [pod for pod in pods if pod.state_url is not None]
        # Half of the slots at most, so that pods that never end a response delay no other policy's.
        share = asyncio.Semaphore(self._share)
        reports = await asyncio.gather(*(self._ask(pod, parse, share, took) for pod in asked))
        return {pod.uid: report for pod, report in zip(asked, reports, strict=True)}

    async def _ask(
        self, pod: Pod, parse: _Parse[_Parsed], share: asyncio.Semaphore, took: dict[str, float]
    ) -> _Parsed | Trouble:
        async with share, self._slots:
            began = monotonic()
            try:
                # Parsed at once, and not all together: a thousand reports take half a second, and are large as JSON.
                return parse(parse_object(await self._read(str(pod.state_url))))
            except TimeoutError:
                return Trouble(SILENT, f"no response from /state within {self._seconds:g} s")
            except (aiohttp.ClientError, OSError, ValueError) as error:
                what = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
                return Trouble(SILENT, f"no report from /state: {what}"[:_LONGEST_MESSAGE])
            except InvalidState as error:
                return Trouble(REFUSED, str(error))
            finally:
                took[pod.uid] = monotonic() - began

    async def _read(self, url: str) -> bytes:
        request = self._session.get(
            url, timeout=self._timeout, allow_redirects=False, auto_decompress=False, headers=_PLAIN
        )
        async with request as response, AsyncExitStack() as room:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise InvalidState("/state comes in an encoding that was not asked for")
            content = bytearray()
            async for chunk in _within(response, self._max_bytes):
                if len(content) <= _SMALL_BYTES < len(content) + len(chunk):
                    await room.enter_async_context(self._large)
                content += chunk
            return bytes(content)


def _tell_slowest(pods: Sequence[Pod], took: Mapping[str, float]) -> None:
    """On the span that waits for the reports, where one is open."""
    slowest = max((pod for pod in pods if pod.uid in took), key=lambda pod: took[pod.uid], default=None)
    if slowest is not None:
        seconds = round(took[slowest.uid], 4)
        trace.get_current_span().set_attributes(
            {"paceline.slowest_pod": slowest.name, "paceline.slowest_seconds": seconds}
        )


async def _within(response: aiohttp.ClientResponse, most: int) -> AsyncIterator[bytes]:
    seen = 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        seen += len(chunk)
        if seen > most:
            raise InvalidState(f"/state is longer than {most} bytes, and not read")
        yield chunk
