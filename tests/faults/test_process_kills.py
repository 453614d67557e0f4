"""kill -9 of every process of a pod: the state and the exit that the design asks for, and no process left behind."""

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from keepalive_load import KeepAliveLoad
from paceline.serve.rundir import write_atomically
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


def test_without_its_arbiter_the_pod_ends_in_order(start_pod: StartPod) -> None:
    pod = start_pod(workers=2, keepalive_seconds=1, log_format="text")
    eventually(lambda: pod.count() == 2, "two workers")
    processes = pod.descendants()
    slow: list[tuple[int, bytes]] = []
    request = threading.Thread(target=lambda: slow.append(pod.get("/?seconds=2.5")))
    request.start()
    eventually(lambda: sum(report["inFlight"] for report in pod.reports()) == 1, "a request is being handled")
    pod.child("paceline.serve.arbiter").kill()
    assert pod.process.wait(30) == 1
    request.join()
    assert slow[0][0] == 200, "the request in progress got its response"
    assert "the arbiter ended by itself (killed by SIGKILL)" in pod.stderr
    assert not still_running(processes)
    assert pod.run.running.exists(), "the next life knows that this one was cut short"


@pytest.mark.invariant
def test_a_killed_agent_is_restarted_and_costs_no_request(start_pod: StartPod, tmp_path: Path) -> None:
    """Counters, start time and generation go on; a change that was begun is finished."""
    document = tmp_path / "tuning.json"
    pod = start_pod("tuned:app", workers=2, keepalive_seconds=1, tuning_file=document)
    eventually(lambda: pod.count() == 2, "two workers")
    psutil.Process(pod.ready_workers()[0]).kill()
    eventually(lambda: pod.state()["restarts"] == 1 and pod.count() == 2, "a worker was replaced")
    with KeepAliveLoad(pod.port, connections=8) as load:
        before = pod.state()
        for generation, workers in ((1, 3), (2, 1), (3, 2)):
            write_document(document, generation, workers)
            eventually(lambda wanted=generation: pod.state()["tuning"]["generation"] == wanted, "it is followed")
            kill_agent(pod)
            state = settled(pod, generation)
            assert len(state["workers"]) == workers
    assert load.outcome.lost == []
    assert state["startedAt"] == before["startedAt"]
    assert state["uptimeSeconds"] > before["uptimeSeconds"]
    assert state["restarts"] == 1
    assert sum(group["count"] for group in state["requests"]) >= sum(group["count"] for group in before["requests"])
    assert pod.stop() == 0
    assert not pod.run.running.exists()


def kill_agent(pod: Served) -> None:
    agent = pod.child("paceline.serve.agent")
    agent.kill()
    eventually(lambda: not still_running([agent]), "it is gone")
    eventually(lambda: pod.management("/readyz") == 200, "another one responses")


def settled(pod: Served, generation: int) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found = pod.state()
        return found if found["tuning"]["generation"] == generation and not found["tuning"]["pending"] else None

    return dict(eventually(state, f"generation {generation} is applied"))


def write_document(document: Path, generation: int, workers: int) -> None:
    wire = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": {"workers": workers}}
    write_atomically(document, orjson.dumps(wire))


def test_an_agent_that_keeps_dying_ends_the_pod_in_order(start_pod: StartPod) -> None:
    pod = start_pod(keepalive_seconds=1)
    settled(pod, 0)
    time.sleep(1.5)  # the pass at rest after that saves that it was acknowledged
    pod.run.progress.write_bytes(b"not what an agent writes")
    pod.child("paceline.serve.agent").kill()
    assert pod.process.wait(90) == 1
    assert "progress.json" in pod.stderr
    assert pod.stderr.count("starting it again") == 5
    assert "the agent ended by itself (exit status 1); stopping the rest" in pod.stderr


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
