"""GET /state of every pod. A pod that is slow, down, or answers nonsense is absent: missing is not zero."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import aiohttp
import orjson

from paceline_operator.core.measure.pods import PodState
from paceline_operator.errors import InvalidState
from paceline_operator.ports import Pod
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.state import parse_ack, parse_state

_Parsed = TypeVar("_Parsed")
_Parse: TypeAlias = Callable[[Mapping[str, Any]], _Parsed | None]

logger = logging.getLogger(__name__)


class PodScraper:
    """Fulfils `ports.Telemetry`. The session is the caller's, who closes it."""

    def __init__(self, session: aiohttp.ClientSession, settings: OperatorSettings) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=settings.scrape_timeout_seconds)
        self._slots = asyncio.Semaphore(settings.scrape_concurrency)
        self._max_bytes = settings.scrape_max_bytes

    async def scrape(self, pods: Sequence[Pod]) -> Mapping[str, PodState]:
        """`/state` by pod uid; a pod that does not answer or answers nonsense is absent."""
        return await self._all(pods, parse_state)

    async def acks(self, pods: Sequence[Pod]) -> Mapping[str, int]:
        """By pod uid, the generation that the pod runs with nothing left to do; others are absent."""
        return await self._all(pods, parse_ack)

    async def _all(self, pods: Sequence[Pod], parse: _Parse[_Parsed]) -> Mapping[str, _Parsed]:
        asked = [pod for pod in pods if pod.state_url is not None]
        answers = await asyncio.gather(*(self._ask(pod.name, str(pod.state_url), parse) for pod in asked))
        return {pod.uid: answer for pod, answer in zip(asked, answers, strict=True) if answer is not None}

    async def _ask(self, name: str, url: str, parse: _Parse[_Parsed]) -> _Parsed | None:
        async with self._slots:
            try:
                content = await self._read(url)
                # At once, and not all together: a thousand answers take half a second, and are large as JSON.
                return parse(_object(content))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                logger.debug("no state from %s: %s: %s", url, type(error).__name__, error)
            except InvalidState as error:
                logger.warning("pod %s: %s", name, error)
        return None

    async def _read(self, url: str) -> bytes:
        async with self._session.get(url, timeout=self._timeout, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            content = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                content += chunk
                if len(content) > self._max_bytes:
                    raise ValueError(f"more than {self._max_bytes} bytes")
            return bytes(content)


def _object(content: bytes) -> Mapping[str, Any]:
    answer = orjson.loads(content)
    if not isinstance(answer, dict):
        raise ValueError(f"{type(answer).__name__} instead of an object")
    return answer
