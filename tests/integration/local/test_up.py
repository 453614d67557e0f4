"""`paceline up` as a person runs it: real processes, and none of them left behind, however it ends."""

import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson
import psutil
import pytest
import redis
from serving import still_running

PACELINE = Path(sysconfig.get_path("scripts")) / "paceline"
START_SECONDS = 60.0
STOP_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


class Platform:
    """A `paceline up` in a folder of its own, and everything it has started."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = psutil.Popen(
                [PACELINE, "up", "--port", str(self.port), *arguments],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.started: set[psutil.Process] = set()

    def look(self) -> set[psutil.Process]:
        """Adds what runs now to what has been started."""
        with suppress(psutil.NoSuchProcess):
            self.started |= set(self.process.children(recursive=True))
        return self.started

    def wait_until_tuned(self) -> None:
        """Until the operator has spoken: then everything runs."""
        until(lambda: self.look() and " holds " in self.text(), START_SECONDS, "the operator's first words")
        self.look()

    def text(self) -> str:
        return self.output.read_text()

    def process_named(self, *words: str) -> psutil.Process:
        """The process that was started with all these words."""
        found = [one for one in self.look() if all(word in command(one) for word in words)]
        assert len(found) == 1, [command(one) for one in found]
        return found[0]

    def state(self) -> dict[str, dict[str, object]]:
        address = re.search(r"http://127\.0\.0\.1:\d+/state", self.text())
        assert address
        with urllib.request.urlopen(address[0], timeout=30) as response:
            return dict(orjson.loads(response.read()))

    def console(self) -> str:
        """The console's page of the policy; empty as long as it has none."""
        address = re.search(r"http://127\.0\.0\.1:\d+/(?=\s)", self.text().partition("console")[2])
        assert address
        with urllib.request.urlopen(address[0], timeout=30) as response:
            name = re.search(r'href="(/policies/[^"]+)"', response.read().decode())
        if name is None:
            return ""
        with urllib.request.urlopen(address[0].rstrip("/") + name[1], timeout=30) as response:
            return str(response.read().decode())

    def dashboard_is_whole(self) -> bool:
        """Whether each part of it was answered in time; 502 where none was."""
        address = f"http://127.0.0.1:{self.port}/dashboard"
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(address, timeout=30) as response:
            return bool(orjson.loads(response.read())["degraded"] == [])
        return False

    def wait_until_all_ended(self) -> int:
        status = self.process.wait(STOP_SECONDS)
        until(lambda: not still_running(self.started), STOP_SECONDS, "the end of what it started")
        return int(status)


def command(process: psutil.Process) -> str:
    """Empty for one that has ended: connections of databases come and go."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


@contextmanager
def platform(folder: Path, *arguments: str) -> Iterator[Platform]:
    running = Platform(folder, *arguments)
    try:
        yield running
    finally:
        running.look()
        for process in (running.process, *running.started):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        running.process.wait()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Platform]:
    with platform(tmp_path) as running:
        running.wait_until_tuned()
        yield running


def test_a_policy_counts_when_it_is_saved_and_sigterm_ends_everything(up: Platform) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/products?limit=2", timeout=30) as response:
        assert len(orjson.loads(response.read())["items"]) == 2
    until(up.dashboard_is_whole, 30, "a dashboard of which nothing is missing")
    with pytest.raises(urllib.error.HTTPError, match="401"):  # and not 503: somebody could sign in
        urllib.request.urlopen(f"http://127.0.0.1:{up.port}/auth/me", timeout=30)
    assert_private(up)
    assert len(up.look()) >= 10, (
        "PostgreSQL, two Valkeys, supervisor, agent, arbiter, worker, upstream, operator, mails, jobs"
    )
    policy = up.folder / ".paceline" / "up" / "operator" / "policy.yaml"
    policy.write_text(policy.read_text().replace("{name: postgres, min: 1, max: 20}", "{name: postgres, value: 3}"))
    until(lambda: up.state()["values"]["pools"]["postgres"] == 3, 30, "the pinned pool")  # type: ignore[index]
    until(lambda: "PinnedBySpec" in up.text(), 30, "the decision on the screen")
    until(lambda: "PinnedBySpec" in up.console(), 30, "the decision in the browser")
    up.process.terminate()
    assert up.wait_until_all_ended() == 0


def assert_private(up: Platform) -> None:
    """Nobody else on this machine reads a log or comes into a database."""
    folder = up.folder / ".paceline" / "up"
    assert folder.stat().st_mode & 0o777 == 0o700
    logs = [*folder.glob("logs/*"), *folder.glob("*/*.log"), *folder.glob("*/*.conf")]
    assert len(logs) >= 9
    assert [path for path in logs if path.stat().st_mode & 0o077] == []
    ports = []
    for process in up.look():
        with suppress(psutil.NoSuchProcess):
            if "valkey" in command(process):
                ports += [each.laddr.port for each in process.net_connections("tcp4") if each.status == "LISTEN"]
    assert len(ports) == 2
    for port in ports:
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    environment = dict(line.split("=", 1) for line in (folder / "environment").read_text().splitlines())
    for variable, policy in (("REDIS_URL", "allkeys-lru"), ("SECURITY_REDIS_URL", "noeviction")):
        with redis.Redis.from_url(environment[variable]) as known:
            assert known.config_get("maxmemory-policy") == {"maxmemory-policy": policy}
    assert (folder / "environment").stat().st_mode & 0o077 == 0


def test_who_signs_up_finds_the_welcome_mail_in_the_log(up: Platform) -> None:
    account = orjson.dumps({"email": "ada@example.org", "password": "correct horse"})
    address, kind = f"http://127.0.0.1:{up.port}/signup", {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, account, kind), timeout=20) as response:
        assert response.status == 201
    mails = up.folder / ".paceline" / "up" / "logs" / "mails.log"
    until(lambda: "To: ada@example.org" in mails.read_text(), 40, "the mail")


def test_a_second_one_in_the_same_folder_is_refused(up: Platform) -> None:
    second = subprocess.run(
        [PACELINE, "up", "--port", str(free_port())],
        cwd=up.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert second.stderr.startswith("paceline: error: another `paceline up` uses the folder")
    assert up.process.is_running()


@pytest.mark.parametrize(
    ("victim", "program"),
    [
        (("paceline.serve.supervisor",), "paceline serve"),
        (("paceline-operator", "local"), "paceline-operator local"),
        (("uvicorn", "paceline_api.upstream:app"), "the upstream"),
    ],
    ids=["the supervisor", "the operator", "the upstream"],
)
def test_a_part_that_is_killed_ends_the_rest_with_one_line(up: Platform, victim: tuple[str, ...], program: str) -> None:
    up.process_named(*victim).kill()
    assert up.wait_until_all_ended() == 1
    error = up.text().splitlines()[-1]
    assert error.startswith(f"paceline: error: {program} ended (")
    assert "Traceback" not in up.text()


def test_killed_itself_it_leaves_nothing_behind(up: Platform) -> None:
    up.process.kill()
    up.wait_until_all_ended()


def test_a_port_in_use_is_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [PACELINE, "up", "--port", str(port)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"paceline: error: cannot listen on port {port} of 127.0.0.1: address already in use;"
        " stop what uses it or choose another with --port\n"
    )
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        ("kind: TuningPolicy\nspec: [", "not YAML"),
        (
            "apiVersion: paceline.dev/v1alpha1\nkind: TuningPolicy\nmetadata: {name: api}\n"
            "spec: {targetRef: {name: api}, objective: {p95: soon}}",
            "'soon'",
        ),
    ],
    ids=["no such file", "not YAML", "a duration that is none"],
)
def test_a_bad_policy_is_one_line_and_nothing_is_started(tmp_path: Path, content: str | None, message: str) -> None:
    policy = tmp_path / "policy.yaml"
    if content is not None:
        policy.write_text(content)
    done = subprocess.run(
        [PACELINE, "up", "--policy", str(policy), "--port", str(free_port())],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("paceline: error: --policy ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / ".paceline").exists()


@pytest.mark.timeout(180)
def test_the_demonstration_shows_what_it_promises(tmp_path: Path) -> None:
    with platform(tmp_path, "--demo", "--for", "60s") as demo:
        until(lambda: demo.look() and " generation 1: " in demo.text(), START_SECONDS, "a first decision")
        status = demo.process.wait(120)
        text = demo.text()
        assert still_running(demo.started) == []
    said, shortcomings = " ".join(text.split()), len(re.findall("^- ", text, re.MULTILINE))
    if "(this machine was busy: the load generator itself was up to " in said:
        # Then p95 says nothing of the service, and nothing else may be missing.
        assert (status, shortcomings) == (1, 1), text
    else:
        assert (status, shortcomings) == (0, 0), text
        assert "The service met its objective, and no request failed." in said
    assert "failed 0;" in text
    decisions = re.findall(r"^\d+:\d\d  generation (\d+): .* → .*  (\w+): .+$", text, re.MULTILINE)
    assert len(decisions) >= 2
    assert [int(generation) for generation, _ in decisions] == list(range(1, len(decisions) + 1))


@pytest.mark.timeout(180)
def test_a_demonstration_without_time_to_tune_says_what_is_missing(tmp_path: Path) -> None:
    with platform(tmp_path, "--demo", "--for", "2s") as demo:
        assert demo.process.wait(120) == 1
        assert "- the operator made no decisions; at least 2 were expected" in demo.text()
        assert " failed" not in demo.text().replace("0 failed", "").replace("failed 0", "")


@pytest.mark.invariant
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("arguments", "number", "status"),
    [
        (("--demo",), signal.SIGINT, 0),
        (("--demo",), signal.SIGTERM, 0),
        (("--demo", "--for", "600s"), signal.SIGINT, 130),
        (("--demo", "--for", "600s"), signal.SIGTERM, 143),
    ],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C before its time", "SIGTERM before its time"],
)
def test_stopped_while_swamped_it_loses_no_request_and_reproaches_nobody(
    tmp_path: Path, arguments: tuple[str, ...], number: signal.Signals, status: int
) -> None:
    with platform(tmp_path, *arguments) as demo:
        until(lambda: demo.look() and re.search(r"waiting \d{3,}, ", demo.text()), 90, "a load that waits")
        demo.process.send_signal(number)
        assert demo.wait_until_all_ended() == status
    said = " ".join(demo.text().split())
    assert " 0 failed" in said
    assert "no request failed" in said
    assert "expected" not in said
    assert "Traceback" not in said


def test_ctrl_c_before_everything_runs_ends_everything(tmp_path: Path) -> None:
    with platform(tmp_path) as early:
        until(lambda: early.look(), START_SECONDS, "a first process")
        os.kill(early.process.pid, signal.SIGINT)
        early.wait_until_all_ended()
    assert "Traceback" not in early.text()
