"""The pod's process pool under `paceline serve`: one for all workers, resized while it runs, killed with its work."""

import contextlib
import http.client
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from serving import Served, StartPod, eventually, still_running


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


def retune(pod: Served, generation: int, **values: Any) -> None:
    """Writes a tuning document and waits until the pod acknowledges it."""
    document = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": values}
    (pod.run.path.parent / "tuning.json").write_bytes(orjson.dumps(document))
    eventually(lambda: _acknowledged(pod, generation), f"generation {generation} is acknowledged")


def _acknowledged(pod: Served, generation: int) -> bool:
    if not pod.management("/readyz"):
        return False  # the agent is being started again
    tuning = pod.state()["tuning"]
    return tuning["generation"] == generation and not tuning["pending"]


def witnesses(folder: Path) -> list[int]:
    return [int(path.suffix[1:]) for path in folder.glob("running.*")]


def waits(pod: Served, folder: Path) -> tuple[int, str]:
    """A request for work that lasts until `folder/go` exists."""
    status, body = pod.get(f"/wait_for?{folder}")
    return status, body.decode()


def pool_process(pod: Served) -> psutil.Process:
    processes = psutil.Process(pod.pid).children(recursive=True)
    return next(one for one in processes if "paceline.serve.processes" in one.cmdline())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "witnesses"
    made.mkdir()
    return made


def test_the_size_counts_for_the_pod_and_moves_while_it_runs(
    start_pod: StartPod, tmp_path: Path, folder: Path, threads: ThreadPoolExecutor
) -> None:
    pod = start_pod("computing:app", workers=2, tuning_file=tmp_path / "tuning.json")
    assert not any("paceline.serve.processes" in one.cmdline() for one in pod.descendants()), "nobody used it yet"
    calls = [threads.submit(waits, pod, folder) for _ in range(3)]
    eventually(lambda: _use(pod) == (1, 2), "one runs, two wait, seen over both workers")
    assert len(eventually(lambda: witnesses(folder), "a child is at work")) == 1
    status, body = pod.get("/pid")
    assert status == 503
    assert b"all 1 processes are busy and 2 calls wait" in body
    assert pod.state()["values"]["pools"] == {"processes": 1}
    retune(pod, 1, pools={"processes": 9})
    state = pod.state()
    assert state["tuning"]["clamped"] == [{"tunable": "pools.processes", "asked": 9, "granted": 3, "by": "cap"}]
    assert (state["pools"]["processes"]["kind"], state["pools"]["processes"]["limit"]) == ("processes", 3)
    eventually(lambda: len(witnesses(folder)) == 3, "all three run")
    (folder / "go").touch()
    assert [status for status, _ in _results(calls)] == [200] * 3
    retune(pod, 2, pools={"processes": 1}, workers=3)
    (folder / "go").unlink()
    calls = [threads.submit(waits, pod, folder) for _ in range(3)]
    eventually(lambda: _use(pod) == (1, 2), "one runs, two wait, with three workers too")
    assert len(eventually(lambda: witnesses(folder), "a child is at work")) == 1
    (folder / "go").touch()
    assert len({body for _, body in _results(calls)}) == 1, "one child did all of it"


def _use(pod: Served) -> tuple[int, int]:
    pool = pod.state()["pools"]["processes"]
    return pool["inUse"], pool["waiting"]


def _results(calls: list[Future[tuple[int, str]]]) -> list[tuple[int, str]]:
    return [call.result(30) for call in calls]


def test_a_killed_child_fails_its_own_request_alone(
    start_pod: StartPod, folder: Path, threads: ThreadPoolExecutor
) -> None:
    pod = start_pod("computing:app", workers=2)
    first = threads.submit(waits, pod, folder)
    (child,) = eventually(lambda: witnesses(folder), "it runs")
    second = threads.submit(waits, pod, folder)
    eventually(lambda: _use(pod) == (1, 1), "the other waits")
    psutil.Process(child).kill()
    assert first.result(30) == (500, "the process that ran the call was killed by SIGKILL; this call alone is lost")
    (folder / "go").touch()
    assert second.result(30)[0] == 200


def test_work_stops_when_its_client_or_its_worker_goes(start_pod: StartPod, folder: Path) -> None:
    pod = start_pod("computing:app", workers=2)
    client = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=30)
    client.request("GET", f"/wait_for?{folder}")
    (child,) = eventually(lambda: witnesses(folder), "it runs")
    client.close()
    eventually(lambda: not psutil.pid_exists(child), "its process is gone with its client")
    eventually(lambda: not _busy(pod), "no worker says any more that it is busy")
    for witness in folder.iterdir():
        witness.unlink()
    client.request("GET", f"/wait_for?{folder}")
    (child,) = eventually(lambda: witnesses(folder), "it runs")
    busy = next(report["pid"] for report in eventually(lambda: _busy(pod), "a worker says that it is busy"))
    psutil.Process(busy).kill()
    eventually(lambda: not psutil.pid_exists(child), "its process is gone with its worker")
    client.close()
    assert pod.get("/pid")[0] == 200


@pytest.mark.invariant
def test_a_socket_that_somebody_puts_into_the_run_folder_is_not_spoken_to(start_pod: StartPod) -> None:
    """Calls are pickles: whoever could read or answer them could run anything in a worker."""
    pod = start_pod("computing:app", workers=2)
    planted = pod.run.path / "processes.sock"
    for _ in range(2):  # before the pool has started, and after
        with socket.socket(socket.AF_UNIX) as foreign:
            with contextlib.chdir(pod.run.path):  # the path may be longer than a socket's
                foreign.bind(planted.name)
            foreign.listen()
            foreign.setblocking(False)
            assert pod.get("/pid")[0] == 200
            with pytest.raises(BlockingIOError):
                foreign.accept()
        planted.unlink()
    assert [path.name for path in pod.run.path.rglob("*") if path.is_socket()] == []


def test_the_pool_is_found_after_the_application_was_loaded_anew(start_pod: StartPod) -> None:
    pod = start_pod("computing:app", workers=2)
    assert pod.get("/pid")[0] == 200
    pool, former = pool_process(pod), pod.ready_workers()
    pod.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(pod.ready_workers()) == 2 and not set(pod.ready_workers()) & set(former), "new workers", 60)
    assert pod.get("/pid")[0] == 200
    assert pool_process(pod) == pool


def _busy(pod: Served) -> list[dict[str, Any]]:
    return [report for report in pod.reports() if report["pools"]["processes"]["inUse"]]


def test_the_pool_is_started_again_when_its_process_dies(start_pod: StartPod) -> None:
    pod = start_pod("computing:app")
    assert pod.get("/pid")[0] == 200
    family = [pool_process(pod), *pool_process(pod).children(recursive=True)]
    family[0].kill()
    eventually(lambda: not still_running(family), "children and fork server went with it")
    assert pod.get("/pid")[0] == 200


@pytest.mark.parametrize("victim", ["nobody", "paceline.serve.arbiter", "paceline.serve.supervisor"])
def test_a_pod_that_stops_finishes_its_work_and_leaves_no_process(
    start_pod: StartPod, folder: Path, threads: ThreadPoolExecutor, victim: str
) -> None:
    pod = start_pod("computing:app", keepalive_seconds=0.5)
    request = threads.submit(waits, pod, folder)
    eventually(lambda: witnesses(folder), "it runs")
    family = [psutil.Process(pod.pid), *pod.descendants()]
    if victim == "nobody":
        pod.process.send_signal(signal.SIGTERM)
    else:
        next(one for one in family if victim in one.cmdline()).kill()
    eventually(lambda: any(report["draining"] for report in pod.reports()), "the worker drains")
    (folder / "go").touch()
    assert request.result(30)[0] == 200, "the work was waited for"
    eventually(lambda: not still_running(family), "nothing is left")
    if victim == "nobody":
        assert pod.process.wait(30) == 0


def test_the_pool_outlives_its_agent_and_stays_the_only_one(
    start_pod: StartPod, tmp_path: Path, folder: Path, threads: ThreadPoolExecutor
) -> None:
    pod = start_pod("computing:app", workers=2, keepalive_seconds=0.5, tuning_file=tmp_path / "tuning.json")
    calls = [threads.submit(waits, pod, folder) for _ in range(3)]
    eventually(lambda: _use(pod) == (1, 2), "one runs, two wait")
    pool = pool_process(pod)
    pod.child("paceline.serve.agent").kill()
    retune(pod, 1, pools={"processes": 2})
    eventually(lambda: len(witnesses(folder)) == 2, "two run")
    assert pool_process(pod) == pool
    (folder / "go").touch()
    assert [status for status, _ in _results(calls)] == [200] * 3
    family = pod.descendants()
    assert pod.stop() == 0
    assert not still_running(family)
