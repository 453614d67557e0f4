"""The last screen as a picture."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.local.picture import Pictured
from paceline.local.progress import Decision, Progress, Running
from paceline.local.view import Facts

FACTS = Facts(links=(("API", "http://127.0.0.1:8000/"),))


class Counting:
    """A view that counts what it is told."""

    updates = closed = 0

    def update(self, progress: Progress, at: float) -> None:
        self.updates += 1

    def close(self) -> None:
        self.closed += 1


def drawn(file: Path) -> Counting:
    progress, view = Progress(), Counting()
    progress.reported(Running(0, 1, {"postgres": 1}))
    change = {"tunable": "pools.postgres", "old": 1, "new": 2}
    progress.decided(7.0, Decision("PoolWaitHigh", "postgres 1→2: wait p99 607ms", 1, (change,), {}, True))
    pictured = Pictured(view, FACTS, file)
    pictured.update(progress, 15.0)
    pictured.close()
    pictured.close()
    return view


def test_the_last_screen_is_drawn_and_loads_nothing(tmp_path: Path) -> None:
    view = drawn(tmp_path / "screen.svg")
    assert (view.updates, view.closed) == (1, 2)
    text = (tmp_path / "screen.svg").read_text()
    shown = "".join(ElementTree.fromstring(text).itertext()).replace("\xa0", " ")  # noqa: S314 - our own
    assert "PoolWaitHigh" in shown
    assert "0:15" in shown
    assert "url(http" not in text
    assert "@font-face" not in text


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--picture: .*nowhere.*No such file"):
        drawn(tmp_path / "nowhere" / "screen.svg")


def test_nothing_shown_is_nothing_drawn(tmp_path: Path) -> None:
    Pictured(Counting(), FACTS, tmp_path / "screen.svg").close()
    assert not (tmp_path / "screen.svg").exists()
