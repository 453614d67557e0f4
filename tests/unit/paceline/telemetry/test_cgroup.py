import os
from pathlib import Path

import pytest
from paceline.telemetry.cgroup import CgroupV1, CgroupV2, Cpu, Memory, cores, find_cgroup


def lay(folder: Path, **files: str) -> Path:
    """Recorded kernel files; a double underscore in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """As in a container of 1.5 cores and 512 MiB under cgroup v2."""
    return lay(
        tmp_path / "v2",
        cgroup__controllers="cpu memory pids\n",
        cpu__max="150000 100000\n",
        cpu__stat="usage_usec 12500000\nuser_usec 9000000\nnr_periods 400\nnr_throttled 30\nthrottled_usec 90000\n",
        memory__max="536870912\n",
        memory__current="200000000\n",
        memory__stat="anon 90000000\nfile 110000000\ninactive_file 80000000\n",
    )


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """As in a container of kubelet with cgroup v1: the mount's root is the container's own folder."""
    mount = tmp_path / "v1"
    lay(
        mount / "cpu",
        cpu__cfs_quota_us="200000\n",
        cpu__cfs_period_us="100000\n",
        cpu__stat="nr_periods 10\nnr_throttled 2\nthrottled_time 5\n",
    )
    lay(mount / "cpuacct", cpuacct__usage="3000000000\n")
    lay(
        mount / "memory",
        memory__limit_in_bytes="268435456\n",
        memory__usage_in_bytes="150000000\n",
        memory__stat="cache 1\ninactive_file 7\ntotal_inactive_file 50000000\n",
    )
    return mount


def membership(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "membership"
    path.write_text(text)
    return path


def test_version_2(v2: Path, tmp_path: Path) -> None:
    cgroup = find_cgroup(v2, membership(tmp_path, "0::/\n"))
    assert cgroup == CgroupV2(v2)
    assert cgroup.cpu() == Cpu(1.5, 12.5, 400, 30)
    assert cgroup.memory() == Memory(536870912, 120000000)


def test_version_2_without_limits(v2: Path, tmp_path: Path) -> None:
    lay(v2, cpu__max="max 100000\n", memory__max="max\n", cpu__stat="usage_usec 1000000\n")
    cgroup = CgroupV2(v2)
    assert cgroup.cpu() == Cpu(None, 1.0, 0, 0)
    assert cgroup.memory().limit_bytes is None


def test_version_1_where_the_path_is_the_hosts(v1: Path, tmp_path: Path) -> None:
    lines = "5:memory:/kubepods/pod1/abc\n4:cpuacct:/kubepods/pod1/abc\n3:cpu:/kubepods/pod1/abc\n1:name=systemd:/x\n"
    cgroup = find_cgroup(v1, membership(tmp_path, lines))
    assert cgroup == CgroupV1(v1 / "cpu", v1 / "cpuacct", v1 / "memory")
    assert cgroup.cpu() == Cpu(2.0, 3.0, 10, 2)
    assert cgroup.memory() == Memory(268435456, 100000000)


def test_version_1_without_limits(v1: Path) -> None:
    lay(v1 / "cpu", cpu__cfs_quota_us="-1\n")
    lay(v1 / "memory", memory__limit_in_bytes="9223372036854771712\n")
    cgroup = CgroupV1(v1 / "cpu", v1 / "cpuacct", v1 / "memory")
    assert cgroup.cpu().limit_cores is None
    assert cgroup.memory().limit_bytes is None


def test_version_1_on_a_host_uses_the_folder_of_the_process(v1: Path, tmp_path: Path) -> None:
    own = lay(v1 / "memory" / "user" / "me", memory__limit_in_bytes="1048576\n")
    cgroup = find_cgroup(v1, membership(tmp_path, "5:memory:/user/me\n4:cpuacct:/\n3:cpu:/\n"))
    assert isinstance(cgroup, CgroupV1)
    assert cgroup.memory_folder == own


def test_cpu_and_cpuacct_mounted_together(v1: Path, tmp_path: Path) -> None:
    (v1 / "cpu").rename(v1 / "cpu,cpuacct")
    lay(v1 / "cpu,cpuacct", cpuacct__usage="1\n")
    lay(v1 / "cpuacct").joinpath("cpuacct.usage").unlink()
    (v1 / "cpuacct").rmdir()
    cgroup = find_cgroup(v1, membership(tmp_path, "3:cpu,cpuacct:/\n5:memory:/\n"))
    assert isinstance(cgroup, CgroupV1)
    assert cgroup.cpu_folder == cgroup.cpuacct_folder == v1 / "cpu,cpuacct"


@pytest.mark.parametrize("lines", [None, "0::/\n"], ids=["no Linux", "nothing mounted"])
def test_where_there_is_no_cgroup(tmp_path: Path, lines: str | None) -> None:
    path = tmp_path / "nowhere" if lines is None else membership(tmp_path, lines)
    assert find_cgroup(tmp_path / "nothing", path) is None


def test_cores_are_those_that_this_process_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == os.cpu_count()
