"""Metrics of several processes, some of them gone, as files of prometheus_client."""

from pathlib import Path

import pytest
from paceline.telemetry.app_metrics import AppMetrics
from prometheus_client.mmap_dict import MmapedDict, mmap_key


def write(folder: Path, kind: str, pid: int, **values: float) -> None:
    file = MmapedDict(str(folder / f"{kind}_{pid}.db"))
    for name, value in values.items():
        file.write_value(mmap_key(name, name, [], [], "help"), value, float(pid))
    file.close()


class Fleet:
    def __init__(self, folder: Path) -> None:
        self.alive: set[int] = set()
        self.metrics = AppMetrics(folder, alive=lambda pid: pid in self.alive, reserved={"taken"})

    def read(self) -> dict[str, list[float]]:
        return {family.name: sorted(sample.value for sample in family.samples) for family in self.metrics.collect()}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_what_ended_processes_counted_stays(fleet: Fleet, tmp_path: Path) -> None:
    for pid in (7, 8, 9):
        write(tmp_path, "counter", pid, orders=pid)
        write(tmp_path, "gauge_sum", pid, total=pid)
    fleet.alive = {7, 8, 9}
    assert fleet.read() == {"orders": [24], "total": [24]}
    fleet.alive = {9}
    for _ in range(2):
        assert fleet.read() == {"orders": [24], "total": [24]}
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("gauge_all", [3.0]),
        ("gauge_liveall", [3.0]),
        ("gauge_livesum", [3.0]),
        ("gauge_livemax", [3.0]),
        ("gauge_livemostrecent", [3.0]),
        ("gauge_max", [5.0]),
        ("gauge_min", [3.0]),
        ("gauge_mostrecent", [5.0]),
    ],
)
def test_gauges_say_what_is_now_unless_they_are_meant_to_stay(
    fleet: Fleet, tmp_path: Path, kind: str, left: list[float]
) -> None:
    write(tmp_path, kind, 3, level=3)
    write(tmp_path, kind, 5, level=5)
    fleet.alive = {3}
    assert fleet.read() == {"level": left}


def test_a_taken_name_is_left_out_and_said_once(fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "counter", 3, taken=3, free=4)
    fleet.alive = {3}
    assert [fleet.read() for _ in range(2)] == [{"free": [4]}] * 2
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ["taken"]


def test_a_file_that_is_being_made_or_broken_hides_nothing_else(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.alive = {3, 4}
    (tmp_path / "counter_4.db").touch()
    write(tmp_path, "counter", 3, orders=3)
    assert fleet.read() == {"orders": [3]}
    (tmp_path / "counter_4.db").write_bytes(b"\xff\x00\x00\x00" + b"\xff" * 60)
    assert fleet.read() == {}
    assert "unreadable" in caplog.text


def test_no_folder_is_no_metrics(tmp_path: Path) -> None:
    assert Fleet(tmp_path / "none").read() == {}
