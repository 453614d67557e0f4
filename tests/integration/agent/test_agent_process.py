"""The real agent process at the level of its protocol: files on one side, HTTP on the other."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_arbiter import AgentPod
from prometheus_client.parser import text_string_to_metric_families
from serving import eventually, free_ports

StartAgent = Callable[..., AgentPod]


def ask(pod: AgentPod, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", pod.served.management_port, timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def test_ready_with_the_first_worker_and_not_while_terminating(start_agent: StartAgent) -> None:
    pod = start_agent()
    status, _, body = ask(pod, "GET", "/readyz")
    assert (status, body) == (503, b"not ready: no worker is ready yet\n")
    pod.until(lambda _: pod.served.management("/readyz") == 200, "ready")
    pod.served.run.terminating.touch()
    status, _, body = ask(pod, "GET", "/readyz")
    assert (status, body) == (503, b"not ready: the pod is terminating\n")
    assert pod.served.management("/livez") == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/state", 200),
        ("GET", "/", 404),
        ("POST", "/state", 405),
        ("DELETE", "/metrics", 405),
        ("PUT", "/x", 405),
    ],
)
def test_the_management_port_is_read_only(start_agent: StartAgent, method: str, path: str, status: int) -> None:
    answered, headers, body = ask(start_agent(), method, path)
    assert answered == status
    assert (headers.get("allow") == "GET, HEAD") == (status == 405)
    assert not (method == "HEAD" and body)


def test_a_document_moves_workers_pools_and_ttls_and_metrics_agree(start_agent: StartAgent) -> None:
    pod = start_agent(workers=2)
    pod.applied(0)
    pod.writes(3, workers=3, pools={"postgres": 2}, caches={"responses": {"ttlSeconds": 5}})
    state = pod.applied(3)
    assert state["values"] == {"workers": 3, "pools": {"postgres": 2}, "caches": {"responses": {"ttlSeconds": 5.0}}}
    assert state["startValues"]["workers"] == 2
    assert [worker["generation"] for worker in state["workers"]] == [3, 3, 3]
    families = text_string_to_metric_families(ask(pod, "GET", "/metrics")[2].decode())
    values = {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}
    assert values["paceline_generation",] == 3
    assert values["paceline_workers", "ready"] == 3
    assert values["db_client_connection_max", "postgres"] == 2
    assert values["http_server_request_duration_seconds_count", "GET", "/"] == 3


def test_removed_workers_leave_their_counts_behind_and_are_no_restarts(start_agent: StartAgent) -> None:
    pod = start_agent(workers=3)
    before = pod.applied(0)
    pod.writes(1, workers=1)
    after = pod.applied(1)
    assert len(after["workers"]) == 1
    assert after["requests"][0]["count"] == before["requests"][0]["count"] == 3
    assert after["restarts"] == 0
    os.kill(after["workers"][0]["pid"], signal.SIGKILL)
    assert pod.until(lambda state: state["restarts"] == 1, "the killed worker is a restart")


def test_connections_that_stay_undo_a_shrink(start_agent: StartAgent) -> None:
    pod = start_agent(shrink_deadline_seconds=1)
    pod.options = ("--hold", "4")
    pod.applied(0)
    pod.writes(1, workers=2, pools={"postgres": 3})
    state = pod.until(lambda state: state["tuning"]["refused"], "refused")
    assert state["tuning"]["refused"]["reason"] == "ShrinkBlocked"
    assert "postgres 5→3: 1 connections in use" in state["tuning"]["refused"]["message"]
    state = pod.applied(0)
    assert state["values"]["pools"] == {"postgres": 5}
    assert (pod.served.run.read_workers(), len(state["workers"])) == (1, 1)


def test_a_config_map_mount_is_followed_through_its_symlinks(start_agent: StartAgent, tmp_path: Path) -> None:
    """kubelet writes a new folder and swaps the link `..data`; the file's own link never changes."""
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "tuning.json").symlink_to("..data/tuning.json")
    pod = start_agent(tuning_file=mount / "tuning.json")
    for generation in (1, 2):
        folder = mount / f"..{generation}"
        folder.mkdir()
        pod.document = folder / "tuning.json"
        pod.writes(generation, workers=generation)
        (mount / "..new").symlink_to(folder.name)
        (mount / "..new").rename(mount / "..data")
        assert len(pod.applied(generation)["workers"]) == generation


def test_sigterm_ends_it_at_once_with_status_zero(start_agent: StartAgent) -> None:
    pod = start_agent()
    assert pod.served.stop(signal.SIGTERM) == 0
    assert "Traceback" not in pod.served.stderr


def test_a_port_in_use_is_one_line_that_says_what_to_do(start_agent: StartAgent, tmp_path: Path) -> None:
    port = start_agent().served.management_port
    environment = {"PACELINE_RUN_DIR": str(tmp_path), "PACELINE_MANAGEMENT_BIND": f"127.0.0.1:{port}"}
    second = subprocess.run(
        [sys.executable, "-m", "paceline.serve.agent"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 2
    assert second.stderr == (
        f"paceline: error: cannot listen on port {port} of 127.0.0.1: address already in use; "
        "stop what uses it or choose another with --management-bind (PACELINE_MANAGEMENT_BIND)\n"
    )


def test_without_a_run_folder_it_says_how_to_start_a_pod() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    environment["PACELINE_MANAGEMENT_BIND"] = f"127.0.0.1:{free_ports(1)[0]}"
    alone = subprocess.run(
        [sys.executable, "-m", "paceline.serve.agent"], env=environment, capture_output=True, text=True, check=False
    )
    assert alone.returncode == 2
    assert alone.stderr == "paceline: error: PACELINE_RUN_DIR is not set; start the pod with `paceline serve`\n"


def test_a_pass_that_fails_is_said_once_and_kills_nothing(start_agent: StartAgent) -> None:
    pod = start_agent()
    pod.applied(0)
    run = pod.served.run
    run.workers.unlink()
    run.workers.mkdir()
    pod.writes(1, workers=2)
    eventually(lambda: "a pass failed" in pod.served.stderr, "the failure is logged")
    before = pod.state()["uptimeSeconds"]
    eventually(lambda: pod.state()["uptimeSeconds"] > before + 0.5, "several passes")
    assert pod.served.stderr.count("a pass failed") == 1
    run.workers.rmdir()
    assert len(pod.applied(1)["workers"]) == 2
