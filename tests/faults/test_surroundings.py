"""What a pod is run in breaks: its standard error, its run folder, the processes and descriptors that it may have."""

import resource
import shlex
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
from keepalive_load import KeepAliveLoad
from serving import StartPod, eventually, serve_command, serving


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_standard_error_that_takes_nothing_ends_no_pod(tmp_path: Path, redirection: str) -> None:
    command = ["sh", "-c", f"exec {shlex.join(serve_command('plain:app'))} {redirection}"]
    with serving(command, tmp_path, {}) as pod:
        eventually(lambda: pod.ended() or pod.management("/readyz") == 200, "the pod is ready")
        agent = pod.child("paceline.serve.agent").pid
        for number in (signal.SIGUSR2, signal.SIGTTIN, signal.SIGUSR1):
            pod.process.send_signal(number)
        psutil.Process(agent).kill()
        eventually(lambda: pod.ended() or pod.management("/readyz") == 200, "a new agent")
        assert pod.child("paceline.serve.agent").pid != agent
        assert pod.get()[0] == 200
        assert pod.stop() == 0


@pytest.mark.invariant
def test_a_run_folder_that_is_gone_costs_no_request(start_pod: StartPod) -> None:
    """Some cleaner of temporary files took it."""
    pod = start_pod(keepalive_seconds=1)
    with KeepAliveLoad(pod.port, connections=4) as load:
        shutil.rmtree(pod.run.path)
        pod.process.send_signal(signal.SIGHUP)
        pod.child("paceline.serve.arbiter").send_signal(signal.SIGHUP)
        eventually(lambda: pod.stderr.count("cannot ask for a reload") == 2, "both say so")
        assert pod.get()[0] == 200
        assert pod.management("/livez") == 200
    assert load.outcome.lost == []
    assert pod.stop() == 0


@pytest.mark.parametrize("moment", ["before it says that it serves", "afterwards"])
def test_without_descriptors_the_arbiter_starts_no_worker_and_ends_none(start_pod: StartPod, moment: str) -> None:
    pod = start_pod()
    if moment == "afterwards":
        eventually(lambda: "serving plain:app at " in pod.stderr, "it says that it serves")
    arbiter = pod.child("paceline.serve.arbiter")
    serving_now = pod.ready_workers()
    former = resource.prlimit(arbiter.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(arbiter.pid, resource.RLIMIT_NOFILE, (3, former[1]))
    psutil.Process(serving_now[0]).terminate()
    eventually(lambda: "cannot start a worker: " in pod.stderr, "it says so")
    resource.prlimit(arbiter.pid, resource.RLIMIT_NOFILE, former)
    eventually(lambda: pod.ready_workers() not in ([], serving_now), "another worker")
    assert pod.get()[0] == 200
    assert pod.stop() == 0


def test_a_stop_does_not_wait_for_a_reload_that_has_just_begun(
    start_pod: StartPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "version"
    version.write_text("one")
    monkeypatch.setenv("VERSION_FILE", str(version))
    pod = start_pod("versioned:app", keepalive_seconds=1)
    version.write_text("slow")
    pod.process.send_signal(signal.SIGHUP)
    eventually(lambda: [each for each in pod.descendants() if "--trial" in each.cmdline()], "it is tried")
    began = time.monotonic()
    assert pod.stop() == 0
    assert time.monotonic() - began < 15, "not the minute that the new code takes to load"
