"""What the kernel grants this container and what it used, from cgroup v1 or v2. Reads files; decides nothing.

Folders are arguments: tests hand in recorded ones.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

_UNLIMITED_BYTES: Final = 1 << 60
"""cgroup v1 says `no limit` with a number near 2^63, rounded down to a page."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """Cumulative since the container started; `limit_cores` is None without a quota."""

    limit_cores: float | None
    usage_seconds: float
    periods: int
    throttled_periods: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The working set: what is used less the page cache that can go at once; `limit_bytes` is None without a limit."""

    limit_bytes: int | None
    used_bytes: int


class Cgroup(Protocol):
    """Both methods raise OSError or ValueError where the kernel's files are missing or strange."""

    def cpu(self) -> Cpu:
        """CPU limit and use."""

    def memory(self) -> Memory:
        """Memory limit and use."""


@dataclass(frozen=True, slots=True)
class CgroupV2:
    """One unified folder."""

    folder: Path

    def cpu(self) -> Cpu:
        quota, period = (self.folder / "cpu.max").read_text().split()
        stat = _read_table(self.folder / "cpu.stat")
        return Cpu(
            limit_cores=None if quota == "max" else int(quota) / int(period),
            usage_seconds=stat["usage_usec"] / 1e6,
            periods=stat.get("nr_periods", 0),
            throttled_periods=stat.get("nr_throttled", 0),
        )

    def memory(self) -> Memory:
        limit = (self.folder / "memory.max").read_text().strip()
        used = int((self.folder / "memory.current").read_text())
        inactive = _read_table(self.folder / "memory.stat").get("inactive_file", 0)
        return Memory(None if limit == "max" else int(limit), max(0, used - inactive))


@dataclass(frozen=True, slots=True)
class CgroupV1:
    """A folder per controller."""

    cpu_folder: Path
    cpuacct_folder: Path
    memory_folder: Path

    def cpu(self) -> Cpu:
        quota = int((self.cpu_folder / "cpu.cfs_quota_us").read_text())
        period = int((self.cpu_folder / "cpu.cfs_period_us").read_text())
        stat = _read_table(self.cpu_folder / "cpu.stat")
        return Cpu(
            limit_cores=quota / period if quota > 0 else None,
            usage_seconds=int((self.cpuacct_folder / "cpuacct.usage").read_text()) / 1e9,
            periods=stat.get("nr_periods", 0),
            throttled_periods=stat.get("nr_throttled", 0),
        )

    def memory(self) -> Memory:
        limit = int((self.memory_folder / "memory.limit_in_bytes").read_text())
        used = int((self.memory_folder / "memory.usage_in_bytes").read_text())
        inactive = _read_table(self.memory_folder / "memory.stat").get("total_inactive_file", 0)
        return Memory(limit if limit < _UNLIMITED_BYTES else None, max(0, used - inactive))


def cores() -> int:
    """Of the node that this process may run on, whatever its CPU limit."""
    with contextlib.suppress(AttributeError, OSError):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_cgroup(
    mount: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> CgroupV1 | CgroupV2 | None:
    """This process's cgroup, or None where there is none to read (no Linux, no mount)."""
    try:
        paths = _own_paths(membership.read_text())
    except OSError:
        return None
    if (mount / "cgroup.controllers").exists():
        return CgroupV2(_own_folder(mount, paths.get("", "/")))
    if not (mount / "memory").is_dir():
        return None
    cpu, cpuacct, memory = (
        _own_folder(_controller(mount, name), paths.get(name, "/")) for name in ("cpu", "cpuacct", "memory")
    )
    return CgroupV1(cpu, cpuacct, memory)


def _own_paths(membership: str) -> Mapping[str, str]:
    """`4:cpu,cpuacct:/kubepods/x` → cpu and cpuacct → /kubepods/x; v2's line `0::/x` → "" → /x."""
    lines = (line.split(":", 2) for line in membership.splitlines())
    return {name: path for _, names, path in lines for name in names.split(",")}


def _controller(mount: Path, name: str) -> Path:
    """cpu and cpuacct are often mounted together, not always with links from their single names."""
    together = mount / "cpu,cpuacct"
    return mount / name if (mount / name).is_dir() or not together.is_dir() else together


def _own_folder(root: Path, path: str) -> Path:
    """In a container the path is the host's while the mount shows the container's own folder as its root."""
    own = root / path.lstrip("/")
    return own if own.is_dir() else root


def _read_table(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
