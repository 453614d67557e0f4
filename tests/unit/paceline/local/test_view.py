"""What a person reads: on a terminal, in a pipe, at the end."""

import io

import pytest
from paceline.load.results import Recorder, Window
from paceline.local.pod import Running
from paceline.local.progress import Decision, Progress
from paceline.local.summary import Summary
from paceline.local.view import Facts, Lines, render, render_summary, view_for
from rich.console import Console, RenderableType

FACTS = Facts(
    links=(("API", "http://127.0.0.1:8000/"), ("policy", "/" + "long-folder/" * 20 + "policy.yaml")),
    rate=80.0,
    objective_seconds=0.1,
    total_seconds=90.0,
)


def window(seconds: float, failed: int = 0) -> Window:
    recorder = Recorder()
    for _ in range(80):
        recorder.succeeded(seconds)
    for _ in range(failed):
        recorder.failed("HTTP 503")
    return recorder.window(1.0)


@pytest.fixture
def progress() -> Progress:
    progress = Progress()
    progress.reported(Running(0, 1, {"postgres": 1}))
    for second in range(1, 8):
        progress.sampled(float(second), window(1.5), outstanding=120)
    change = {"tunable": "pools.postgres", "old": 1, "new": 2}
    progress.decided(7.0, Decision("PoolWaitHigh", "postgres 1→2: wait p99 607ms", 1, (change,), {}, True))
    progress.sampled(8.0, window(0.02), outstanding=2)
    progress.reported(Running(1, 1, {"postgres": 2}))
    progress.decided(15.0, Decision("WithinTolerance", "p95 20ms", 1, (), {}, True))
    return progress


def text_of(renderable: RenderableType, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_screen_shows_load_curve_values_and_every_decision(progress: Progress) -> None:
    text = text_of(render(progress, FACTS, 15.0))
    for expected in (
        "0:15 of 1:30",
        "80 requests/s, p95 20 ms (objective 100 ms), waiting 2, succeeded 640, failed 0",
        "▇▇▇▇▇▇▇▂",
        "generation 1: workers 1, pool postgres 2",
        "WithinTolerance: p95 20ms",
        "postgres 1 → 2",
        "PoolWaitHigh: wait p99 607ms",
    ):
        assert expected in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_screen_of_any_width_keeps_what_matters(progress: Progress, width: int) -> None:
    text = text_of(render(progress, FACTS, 15.0), width)
    assert "postgres 1" in text
    assert all(len(line) <= width for line in text.splitlines())


def test_nothing_known_yet_is_no_error() -> None:
    assert "starting" in text_of(render(Progress(), FACTS, 0.0))


def test_in_a_pipe_each_decision_is_one_line_said_once(progress: Progress) -> None:
    console = Console(file=io.StringIO(), width=80)
    lines = Lines(console, FACTS)
    lines.update(progress, 15.0)
    lines.update(progress, 15.2)
    progress.decided(16.0, Decision("WithinTolerance", "p95 21ms", 1, (), {}, True))
    lines.update(progress, 16.0)
    progress.decided(17.0, Decision("CoolingDown", "not for 3s", 1, (), {}, True))
    lines.update(progress, 17.0)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "0:07  generation 1: postgres 1 → 2  PoolWaitHigh: wait p99 607ms",
        "0:15  holds  WithinTolerance: p95 20ms",
        "0:15  80 requests/s, p95 20 ms (objective 100 ms), waiting 2, succeeded 640, failed 0;"
        " generation 1: workers 1, pool postgres 2",
        "0:17  holds  CoolingDown: not for 3s",
    ]


def test_a_terminal_gets_a_screen_and_addresses_in_one_piece(progress: Progress) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    view = view_for(console, FACTS)
    view.update(progress, 15.0)
    view.close()
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert FACTS.links[1][1] in text
    assert "PoolWaitHigh" in text


def test_the_end_compares_before_and_after(progress: Progress) -> None:
    text = text_of(render_summary(progress, FACTS, Summary(1.5, 0.02, ())))
    assert "1.5 s" in text
    assert "20 ms" in text
    assert "pool postgres   1       →   2" in text
    assert "The service met its objective, and no request failed." in text


def test_the_end_says_what_is_missing(progress: Progress) -> None:
    text = text_of(
        render_summary(
            progress, FACTS, Summary(None, None, ("the operator made no decisions; at least 2 were expected",))
        )
    )
    assert "- the operator made no decisions; at least 2 were expected" in text
    assert "met its objective" not in text


def test_who_stops_it_early_reads_no_reproach(progress: Progress) -> None:
    missing = ("the operator made no decisions; at least 2 were expected",)
    progress.failures.clear()
    text = " ".join(text_of(render_summary(progress, FACTS, Summary(1.5, None, missing, interrupted=True))).split())
    assert "Stopped before the service had met its objective; no request failed." in text
    assert "expected" not in text


def test_the_end_says_what_a_size_counts_for(progress: Progress) -> None:
    sizes = {"postgres": 2, "processes": 1}
    progress.reported(Running(1, 2, sizes, per_pod=frozenset({"processes"})))
    lines = text_of(render_summary(progress, FACTS, Summary(1.5, 0.02, ()))).splitlines()
    assert [line.split()[-2:] for line in lines if "pool " in line] == [["per", "worker"], ["per", "pod"]]
