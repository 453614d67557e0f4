"""What `--workers auto` comes to, of recorded kernel files, and that it is one number for the whole pod."""

from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.serve.supervisor.launch import choose_workers
from paceline.serve.supervisor.sizing import sized
from paceline.settings import ServeSettings, load_settings
from paceline.telemetry.cgroup import CgroupV1, CgroupV2, find_cgroup


def version_two(folder: Path, cpu: str = "max 100000", memory: str = "max") -> CgroupV2:
    files = {
        "cpu.max": cpu,
        "cpu.stat": "usage_usec 5",
        "memory.max": memory,
        "memory.current": "1000",
        "memory.stat": "inactive_file 0",
        "cgroup.controllers": "cpu memory",
    }
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    return CgroupV2(folder)


def version_one(folder: Path, quota: int) -> CgroupV1:
    files = {
        "cpu.cfs_quota_us": quota,
        "cpu.cfs_period_us": 100_000,
        "cpu.stat": "nr_periods 1",
        "cpuacct.usage": 5,
        "memory.limit_in_bytes": 1 << 62,
        "memory.usage_in_bytes": 1000,
        "memory.stat": "total_inactive_file 0",
    }
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    return CgroupV1(folder, folder, folder)


@pytest.mark.parametrize(
    ("cpu", "cores", "cap", "workers"),
    [
        ("200000 100000", 64, 16, 2),
        ("150000 100000", 64, 16, 2),
        ("50000 100000", 64, 16, 1),
        ("1000 100000", 64, 16, 1),
        ("max 100000", 4, 16, 4),
        ("max 100000", 64, 16, 16),
        ("400000 100000", 2, 16, 2),
        ("800000 100000", 64, 3, 3),
    ],
)
def test_a_worker_for_each_core_that_may_be_used(tmp_path: Path, cpu: str, cores: int, cap: int, workers: int) -> None:
    found = sized(version_two(tmp_path, cpu), cores, cap)

    assert (found.workers, found.at_once) == (workers, None)
    assert f"{cores} cores" in found.why
    assert (f"PACELINE_MAX_WORKERS {cap}" in found.why) is (workers == cap)


def test_the_older_cgroup_and_none_at_all(tmp_path: Path) -> None:
    assert sized(version_one(tmp_path, 300_000), 8, 16).workers == 3
    assert sized(version_one(tmp_path, -1), 8, 16).workers == 8
    assert sized(None, 8, 16).workers == 8
    assert sized(CgroupV2(tmp_path / "none"), 8, 16).workers == 8


def test_limited_memory_starts_one_worker_and_says_so(tmp_path: Path) -> None:
    found = sized(version_two(tmp_path, "400000 100000", str(512 * 2**20)), 8, 16)
    assert (found.workers, found.at_once) == (4, 1)
    assert "512 MiB" in found.why
    assert sized(version_two(tmp_path, "100000 100000", str(512 * 2**20)), 8, 16).at_once is None


def test_all_processes_of_the_pod_have_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"PACELINE_WORKERS": "AUTO"}
    found = choose_workers(environment)

    assert found is not None
    assert environment["PACELINE_WORKERS"] == str(found.workers)
    assert choose_workers(environment) is None, "it is a number by now"
    assert choose_workers({}) is None

    kept = {"PACELINE_WORKERS": "auto", "PACELINE_WORKERS_AT_ONCE": "2"}
    choose_workers(kept)
    assert kept["PACELINE_WORKERS_AT_ONCE"] == "2"


def test_other_commands_take_auto_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACELINE_WORKERS", "auto")
    assert load_settings().serve.workers == 1
    monkeypatch.setenv("PACELINE_WORKERS", "many")
    with pytest.raises(UsageError, match="PACELINE_WORKERS"):
        load_settings()
    assert ServeSettings(workers=3).workers == 3


@pytest.mark.invariant
def test_an_upgrade_multiplies_no_pools() -> None:
    assert ServeSettings.model_fields["workers"].default == 1


def test_a_resize_in_place_is_read_anew(tmp_path: Path) -> None:
    version_two(tmp_path, "100000 100000", str(2**30))
    (tmp_path / "membership").write_text("0::/\n")
    cgroup = find_cgroup(tmp_path, tmp_path / "membership")
    assert cgroup is not None
    assert (cgroup.cpu().limit_cores, cgroup.memory().limit_bytes) == (1.0, 2**30)

    version_two(tmp_path, "300000 100000", str(2**31))
    assert (cgroup.cpu().limit_cores, cgroup.memory().limit_bytes) == (3.0, 2**31)
