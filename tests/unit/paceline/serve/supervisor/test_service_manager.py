"""What systemd is told of a pod."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from paceline.serve.supervisor.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """What systemd writes into NOTIFY_SOCKET, and its end."""
    path = str(tmp_path / "notify")
    address = path if request.param == "path" else f"@{path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0"))
        listening.settimeout(20)
        yield address, listening


def test_it_is_told_by_this_process_alone(manager: tuple[str, socket.socket]) -> None:
    address, listening = manager
    environment = {"NOTIFY_SOCKET": address, "PATH": "/bin"}
    told = ServiceManager.from_environment(environment, pytest.fail)
    assert environment == {"PATH": "/bin"}
    told.ready()
    told.stopping()
    assert [listening.recv(100) for _ in range(2)] == [b"READY=1", b"STOPPING=1"]


def test_the_pod_is_ready_once(manager: tuple[str, socket.socket]) -> None:
    address, listening = manager
    told = ServiceManager.from_environment({"NOTIFY_SOCKET": address}, pytest.fail)
    assert told.waits_for_ready
    told.ready()
    assert not told.waits_for_ready
    assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_systemd_nothing_is_told(environment: dict[str, str]) -> None:
    told = ServiceManager.from_environment(environment, pytest.fail)
    assert not told.waits_for_ready
    told.ready()
    told.stopping()


@pytest.mark.parametrize("address", ["/nowhere/notify", "vsock:2:1234", "/" + 200 * "x"])
def test_what_cannot_be_told_ends_nothing(address: str) -> None:
    said: list[str] = []
    told = ServiceManager.from_environment({"NOTIFY_SOCKET": address}, said.append)
    told.ready()
    assert len(said) == 1
    assert said[0].startswith("cannot tell systemd READY=1: ")
    assert not told.waits_for_ready
