"""`paceline serve` from start to end: what it runs, how it stops, what it leaves behind."""

import http.client
import os
import signal
import threading
from pathlib import Path

import psutil
import pytest
from keepalive_load import KeepAliveLoad
from serving import Served, StartPod, eventually, serve_command, serving, still_running


@pytest.mark.parametrize("target", ["plain:app", "fast:app"])
def test_any_asgi_application_runs(start_pod: StartPod, target: str) -> None:
    pod = start_pod(target)
    assert pod.get()[0] == 200
    processes = pod.descendants()
    assert pod.stop() == 0
    assert not still_running(processes)


def test_a_lifespan_runs_once_in_every_worker(
    start_pod: StartPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFE_NOTES", str(tmp_path))
    pod = start_pod("lifecycle:app", workers=2)
    eventually(lambda: len(pod.ready_workers()) == 2, "two workers")
    workers = pod.ready_workers()
    assert pod.stop() == 0
    for event in ("startup", "shutdown", "exit"):
        assert {path.name for path in tmp_path.glob(f"{event}.*")} == {f"{event}.{pid}" for pid in workers}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pod_told_to_stop_turns_unready_first_and_loses_nothing(start_pod: StartPod, number: signal.Signals) -> None:
    pod = start_pod(workers=2, termination_delay_seconds=4, keepalive_seconds=1)
    slow: list[tuple[int, bytes]] = []
    with KeepAliveLoad(pod.port) as load:
        # To the whole group, as a terminal sends Ctrl-C: only the supervisor may be in it.
        os.killpg(pod.pid, number)
        eventually(lambda: pod.management("/readyz") == 503, "unready")
        assert pod.get()[0] == 200, "unready but serving: load balancers have not noticed yet"
        request = threading.Thread(target=lambda: slow.append(pod.get("/?seconds=5")))
        request.start()
        assert pod.process.wait(30) == 0
        request.join()
    assert load.outcome.lost == []
    assert slow[0][0] == 200
    assert not pod.run.running.exists(), "a clean end leaves no marker"


def test_a_second_ctrl_c_stops_at_once(start_pod: StartPod) -> None:
    pod = start_pod(termination_delay_seconds=60)
    processes = pod.descendants()
    request = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=60)
    request.request("GET", "/?seconds=50")
    eventually(lambda: pod.reports()[0]["inFlight"] == 1, "a long request is being answered")
    pod.process.send_signal(signal.SIGINT)
    eventually(pod.run.terminating.exists, "it is stopping")
    assert pod.stop(signal.SIGINT) == 1, "what was cut off is no success"
    assert not still_running(processes)
    request.close()


def test_a_life_starts_with_a_clean_folder(start_pod: StartPod) -> None:
    def leave_traces(pod: Served) -> None:
        (pod.run.reports / "1.json").write_bytes(b"{}")
        pod.run.terminating.touch()

    first = start_pod()
    assert not first.run.unclean.exists()
    assert first.stop() == 0
    leave_traces(first)
    second = start_pod()
    assert not second.run.terminating.exists()
    assert not (second.run.reports / "1.json").exists()


def test_without_a_run_folder_a_temporary_one_comes_and_goes(tmp_path: Path) -> None:
    with serving(serve_command("plain:app"), tmp_path, {}, run_dir=False) as pod:
        eventually(lambda: pod.management("/readyz") == 200, "the pod is ready")
        command = psutil.Process(pod.pid).cmdline()
        folder = Path(command[command.index("--run-dir") + 1])
        assert (folder / "effective.json").exists()
        assert pod.stop() == 0
    assert not folder.exists()


def test_preload_gives_way_to_threads_and_connections(start_pod: StartPod) -> None:
    pod = start_pod("threaded:app", log_format="text")
    assert pod.get()[0] == 200
    warnings = [line for line in pod.stderr.splitlines() if "preload is off" in line]
    assert len(warnings) == 1
    assert "thread 'outbox poller'" in warnings[0]
    assert "connection to 127.0.0.1:" in warnings[0]


def test_preload_is_on_for_an_ordinary_application(start_pod: StartPod) -> None:
    pod = start_pod("fast:app")
    assert "preload is off" not in pod.stderr


def test_the_supervisor_stays_small(start_pod: StartPod) -> None:
    """It lives as long as the pod: without pydantic and the rest it needs a third of what the agent does."""
    pod = start_pod()
    assert psutil.Process(pod.pid).memory_info().rss < 24 * 2**20


def test_a_pod_says_little(start_pod: StartPod) -> None:
    pod = start_pod()
    pod.get()
    eventually(lambda: "serving plain:app" in pod.stderr, "it says what it serves")
    assert pod.stop() == 0
    assert len(pod.stderr.splitlines()) <= 3, pod.stderr
