"""What the application counts with prometheus_client, over all its processes: counters never go back when one ends.

Each process writes files of its own (prometheus_client's multiprocess mode). They are added up at a scrape; what a
process that is gone had counted is folded into one file, so that changes of the worker count leave no files behind.
"""

import logging
import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.registry import Collector

_ADDED: Final = frozenset({"counter", "histogram", "summary", "gauge_sum"})
_KEPT: Final = frozenset({"gauge_min", "gauge_max", "gauge_mostrecent"})
"""Gauges that are meant to outlive their process; all others say what a process does now."""

logger = logging.getLogger(__name__)


class AppMetrics(Collector):
    """Reads one folder at each scrape. Belongs to one process: the one that folds."""

    def __init__(self, folder: Path, *, alive: Callable[[int], bool], reserved: Collection[str]) -> None:
        """Does nothing yet.

        Args:
            folder: what PROMETHEUS_MULTIPROC_DIR names; it may be missing.
            alive: whether a process still runs.
            reserved: names of metrics that the application cannot have.
        """
        self._folder = folder
        self._alive = alive
        self._reserved = frozenset(reserved)
        self._last_warning = ""

    def describe(self) -> list[Metric]:
        """Nothing: what there is, is known at a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            self._fold()
            written = [str(path) for path in sorted(self._folder.glob("*.db")) if path.stat().st_size]
            families = _merged(written)
        except (OSError, ValueError, RuntimeError, struct.error) as error:  # half a file must not hide our own metrics
            self._warn_once(f"the application's metrics in {self._folder} are unreadable: {error!r}")
            return iter(())
        clashes = sorted(family.name for family in families if family.name in self._reserved)
        if clashes:
            self._warn_once(f"metrics of the application are left out, their names are taken: {', '.join(clashes)}")
        return (family for family in families if family.name not in self._reserved)

    def _fold(self) -> None:
        for path in self._folder.glob("*.db"):
            kind, _, pid = path.stem.rpartition("_")
            if not pid.isdecimal() or self._alive(int(pid)) or kind in _KEPT:
                continue
            if kind in _ADDED and path.stat().st_size:
                add(path, self._folder / f"{kind}_ended.db")
            path.unlink()

    def _warn_once(self, message: str) -> None:
        if message != self._last_warning:
            logger.warning(message)
            self._last_warning = message


def _merged(written: list[str]) -> list[Metric]:
    if not written:
        return []
    from prometheus_client.multiprocess import MultiProcessCollector  # only for applications that count something

    return list(MultiProcessCollector.merge(written))


def add(source: Path, target: Path) -> None:
    """Adds the values of one file to those of another."""
    totals = MmapedDict(str(target))
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(source)):
        totals.write_value(key, totals.read_value(key)[0] + value, 0.0)
    totals.close()
