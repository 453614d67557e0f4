"""What `paceline serve` checks before it starts anything."""

import socket
from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.serve.supervisor.launch import check_free, check_settings, check_target, parse_address, supervisor_command
from paceline.settings import ServeSettings


@pytest.mark.parametrize("target", ["shop:app", "shop.main:app", "shop.main:api.app", "_shop:_app", "größe:app"])
def test_targets_that_name_an_application(target: str) -> None:
    check_target(target)


@pytest.mark.parametrize(
    "target", ["", "shop", "shop:", ":app", "shop.py", "shop/main:app", "shop:app()", "a..b:c", "1:2"]
)
def test_targets_that_do_not(target: str) -> None:
    with pytest.raises(UsageError, match="MODULE:APP"):
        check_target(target)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert parse_address(address, option="--bind") == parts


@pytest.mark.parametrize("address", ["8000", ":8000", "host:", "host:x", "host:0", "host:65536", "host:-1", "host:٣"])
def test_addresses_that_make_no_sense(address: str) -> None:
    with pytest.raises(UsageError, match=r"--bind .* HOST:PORT"):
        parse_address(address, option="--bind")


def test_a_port_in_use_is_named_with_the_option_that_chooses_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(UsageError, match=rf"port {address[1]} of 127.0.0.1: .*in use.*--bind"):
            check_free(address, option="--bind")
    check_free(address, option="--bind")


def test_two_doors_need_two_ports() -> None:
    settings = ServeSettings(bind="127.0.0.1:8000", management_bind="127.0.0.1:8000")
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
