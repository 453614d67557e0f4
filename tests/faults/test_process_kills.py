"""kill -9 of every process of a pod: the state and the exit that the design asks for, and no process left behind."""

import threading
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from keepalive_load import KeepAliveLoad
from serving import Served, StartPod, eventually, serve_command, serving, still_running


def test_a_killed_worker_is_replaced_and_counted(start_pod: StartPod) -> None:
    pod = start_pod(workers=2)
    eventually(lambda: pod.count() == 2, "two workers")
    victim = pod.ready_workers()[0]
    psutil.Process(victim).kill()
    eventually(lambda: pod.count() == 2 and victim not in pod.ready_workers(), "it is replaced")
    assert pod.management("/readyz") == 200
    eventually(lambda: pod.state()["restarts"] == 1, "the restart is counted")
    assert pod.stop() == 0


@pytest.mark.parametrize("part", ["agent", "arbiter"])
def test_without_one_half_the_pod_ends_in_order(start_pod: StartPod, part: str) -> None:
    pod = start_pod(workers=2, keepalive_seconds=1, log_format="text")
    eventually(lambda: pod.count() == 2, "two workers")
    processes = pod.descendants()
    slow: list[tuple[int, bytes]] = []
    request = threading.Thread(target=lambda: slow.append(pod.get("/?seconds=2.5")))
    request.start()
    eventually(lambda: sum(report["inFlight"] for report in pod.reports()) == 1, "a request is being answered")
    pod.child(f"paceline.serve.{part}").kill()
    assert pod.process.wait(30) == 1
    request.join()
    assert slow[0][0] == 200, "the request in progress was answered"
    assert f"the {part} ended by itself (killed by SIGKILL)" in pod.stderr
    assert not still_running(processes)
    assert pod.run.running.exists(), "the next life knows that this one was cut short"


def test_a_killed_agent_costs_no_request(start_pod: StartPod) -> None:
    pod = start_pod(workers=2, keepalive_seconds=1)
    with KeepAliveLoad(pod.port) as load:
        pod.child("paceline.serve.agent").kill()
        assert pod.process.wait(30) == 1
    assert load.outcome.lost == []


def test_a_killed_supervisor_leaves_no_process(start_pod: StartPod) -> None:
    pod = start_pod(workers=2, keepalive_seconds=1)
    eventually(lambda: pod.count() == 2, "two workers")
    processes = pod.descendants()
    with KeepAliveLoad(pod.port) as load:
        pod.process.kill()
        eventually(lambda: not still_running(processes), "all processes ended")
    assert load.outcome.lost == []


def test_the_life_after_a_kill_knows_it_was_cut_short(start_pod: StartPod) -> None:
    first = start_pod()
    processes = first.descendants()
    first.process.kill()
    eventually(lambda: not still_running(processes), "all processes ended")
    second = start_pod()
    assert second.run.unclean.exists()
    assert second.stop() == 0
    third = start_pod()
    assert not third.run.unclean.exists()


def test_the_folder_of_a_killed_supervisor_goes_with_the_next_start(tmp_path: Path) -> None:
    """Not before its last process has ended, and never that of a pod that lives."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
    with ExitStack() as stack:

        def start(folder: Path) -> tuple[Served, Path]:
            pod = stack.enter_context(serving(serve_command("plain:app"), folder, {}, run_dir=False))
            eventually(lambda: pod.management("/readyz") == 200, "the pod is ready")
            command = psutil.Process(pod.pid).cmdline()
            return pod, Path(command[command.index("--run-dir") + 1])

        killed, abandoned = start(first)
        processes = killed.descendants()
        killed.process.kill()
        eventually(lambda: not still_running(processes), "all processes ended")
        assert abandoned.exists()
        _, lives = start(second)
        assert not abandoned.exists()
        last, _ = start(third)
        assert lives.exists()
        assert last.get()[0] == 200
