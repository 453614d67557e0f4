"""What `paceline serve` checks before it starts anything."""

import os
import socket
from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.serve.addresses import check_free, parse_address
from paceline.serve.supervisor.launch import check_settings, supervisor_command, take_inherited
from paceline.settings import ServeSettings


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("localhost:80", ("localhost", 80)),
        (":9090", ("0.0.0.0", 9090)),
        ("*:9090", ("0.0.0.0", 9090)),
        ("tcp://LOCALHOST:9090", ("localhost", 9090)),
        ("[::]:9090", ("::", 9090)),
    ],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert parse_address(address, option="--bind") == parts


@pytest.mark.parametrize(
    "address", ["8000", "unix:/run/a", "fd://3", "host:", "host:x", "host:0", "host:65536", "host:-1", "host:٣"]
)
def test_addresses_that_make_no_sense(address: str) -> None:
    with pytest.raises(UsageError, match=r"--bind .* HOST:PORT"):
        parse_address(address, option="--bind")


def test_a_port_in_use_is_named_with_the_option_that_chooses_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(UsageError, match=rf"port {address[1]} of 127.0.0.1: .*in use.*--bind"):
            check_free(address, option="--bind")
    check_free(address, option="--bind")


@pytest.mark.parametrize("bind", ["127.0.0.1:8000", ":8000", "127.0.0.1:8001,*:8000", "[::]:8000"])
def test_two_doors_need_two_ports(bind: str) -> None:
    settings = ServeSettings(bind=bind, management_bind="127.0.0.1:8000")
    with pytest.raises(UsageError, match="choose two ports"):
        check_settings(settings)


def test_the_start_value_may_not_exceed_the_cap() -> None:
    with pytest.raises(UsageError, match="cap of 2"):
        check_settings(ServeSettings(workers=3, max_workers=2))


def test_the_supervisor_waits_longer_than_what_it_supervises() -> None:
    settings = ServeSettings(keepalive_seconds=5, graceful_timeout_seconds=30, termination_delay_seconds=2.5)
    command = supervisor_command("shop:app", settings, Path("/run/paceline/pod"), 5, (6, 7), temporary=True)
    assert command[1:5] == ["-P", "-m", "paceline.serve.supervisor", "shop:app"]
    assert command[5:9] == ["--run-dir", "/run/paceline/pod", "--lock", "5"]
    assert command[9:12] == ["--calls", "6", "7"]
    assert command[12:] == ["--termination-delay", "2.5", "--stop", "41", "--temporary"]


def test_what_whoever_starts_the_pod_has_opened_goes_to_the_supervisor() -> None:
    settings = ServeSettings(bind="fd://7,:8000,fd://8", pid_file=Path("/run/shop.pid"))
    command = supervisor_command("shop:app", settings, Path("/run/paceline/pod"), 5, (6, 7), temporary=False)
    assert command[-5:] == ["--sockets", "7", "8", "--pid-file", "/run/shop.pid"]


def test_sockets_of_systemd_are_the_addresses() -> None:
    environment = {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid()), "PACELINE_BIND": ":8000"}
    said = take_inherited(environment, {"PACELINE_BIND": "--bind"})
    assert environment == {"PACELINE_BIND": "fd://3,fd://4"}
    assert said == ["--bind is not used: the sockets of systemd (LISTEN_FDS) are the addresses"]


def test_sockets_of_systemd_without_an_address_are_nothing_to_say() -> None:
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    assert take_inherited(environment, {}) == []
    assert environment == {"PACELINE_BIND": "fd://3"}


def test_sockets_that_systemd_gave_to_another_process_are_left_alone() -> None:
    environment = {"LISTEN_FDS": "2", "LISTEN_PID": "1", "PACELINE_BIND": ":8000"}
    assert take_inherited(environment, {}) == []
    assert environment == {"LISTEN_FDS": "2", "LISTEN_PID": "1", "PACELINE_BIND": ":8000"}


def test_a_socket_in_place_of_a_standard_stream_moves() -> None:
    environment = {"PACELINE_BIND": ":8000,fd://0"}
    assert take_inherited(environment, {}) == []
    kept, moved = environment["PACELINE_BIND"].split(",")
    number = int(moved.removeprefix("fd://"))
    assert kept == ":8000"
    assert number > 2
    os.close(number)
