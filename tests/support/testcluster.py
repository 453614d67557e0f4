"""A real cluster as the suites see it: kubectl, helm, reads through the API server. Refuses any not made for tests."""

import contextlib
import fnmatch
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

import pytest
import yaml

TEST_CONTEXTS = ("testcluster", "kind-*", "minikube", "k3d-*")
TEST_LABEL = "paceline.dev/test"
ANSWER_SECONDS = 30.0
"""How long a busy API server may fail to answer before that counts."""
T = TypeVar("T")


class CommandFailed(AssertionError):
    """kubectl or helm ended with a status other than 0; the message is what it said."""


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Polls until the condition is true and returns its value; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}; last seen: {value!r}")
        time.sleep(0.05)
    return value


def run(*command: str, stdin: str | None = None, timeout: float = 300) -> str:
    """Standard output of a command. Raises CommandFailed."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise CommandFailed(f"{' '.join(command[:6])} …: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Cluster:
    """Commands against the current context, and reads through one `kubectl proxy`."""

    def __init__(self, proxy: str) -> None:
        self._proxy = proxy

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 300) -> str:
        return run("kubectl", *arguments, stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str) -> str:
        return run("helm", *arguments, timeout=600)

    def apply(self, namespace: str, *objects: dict[str, Any]) -> str:
        return self.kubectl("apply", "--namespace", namespace, "--filename", "-", stdin=yaml.safe_dump_all(objects))

    def read(self, path: str) -> Any:
        """The JSON at a path of the API server; None where there is nothing or nobody answers yet."""
        with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError, json.JSONDecodeError):
            return self._ask(path)
        return None

    def object(self, path: str) -> Any:
        """As `read`, for what the API server itself keeps: None only if it says that there is no such thing."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return self._ask(path)
            except (urllib.error.URLError, TimeoutError, ConnectionError, json.JSONDecodeError) as error:
                if isinstance(error, urllib.error.HTTPError) and error.code == HTTPStatus.NOT_FOUND:
                    return None
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._proxy}{path}", timeout=5) as response:
            return json.load(response)

    def exists(self, path: str) -> bool:
        return self.read(path) is not None

    def create_namespace(self, name: str) -> None:
        labels = {TEST_LABEL: "true", "pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.kubectl("create", "--filename", "-", stdin=yaml.safe_dump(namespace))

    def delete_namespace(self, name: str) -> None:
        self.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait", "--timeout=120s")


@contextmanager
def connected() -> Iterator[Cluster]:
    """The cluster of the current context. Fails the test when that may be somebody's real one."""
    context = run("kubectl", "config", "current-context").strip()
    allowed = (*TEST_CONTEXTS, os.environ.get("PACELINE_TEST_CONTEXT", ""))
    if not any(fnmatch.fnmatch(context, pattern) for pattern in allowed):
        pytest.fail(
            f"context {context!r} does not look like a test cluster: set PACELINE_TEST_CONTEXT={context} if it is"
        )
    command = ["kubectl", "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        address = proxy.stdout.readline().rsplit(" ", 1)[-1].strip()
        try:
            yield Cluster(f"http://{address}")
        finally:
            proxy.terminate()
