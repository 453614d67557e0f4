"""What the kernel's table of TCP connections says of this process."""

import socket

from paceline.telemetry.connections import look, outbound, resolve

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(local: str, remote: str, state: str, inode: int) -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 20 4 30\n"


def test_established_connections_that_this_process_has_opened() -> None:
    v4 = HEAD + "".join(
        [
            row("00000000:1F40", "00000000:0000", "0A", 1),
            row("0100007F:1F40", "0100007F:D000", "01", 2),  # a client's, to the port 8000 that is listened on
            row("0100007F:D001", "0100007F:1538", "01", 3),
            row("0100007F:D002", "0100007F:1538", "06", 4),  # closed and waiting
            row("0100007F:D003", "0100007F:1538", "01", 5),  # another process's
        ]
    )
    v6 = HEAD + row("0000000000000000FFFF00000100007F:D004", "0000000000000000FFFF00000200007F:18EB", "01", 6)
    v6 += row("00000000000000000000000001000000:D005", "00000000000000000000000001000000:01BB", "01", 7)
    found = outbound([v4.splitlines(), v6.splitlines()], own={1, 2, 3, 4, 6, 7})
    assert found == {3: ("127.0.0.1", 5432), 6: ("127.0.0.2", 6379), 7: ("::1", 443)}


def test_a_connection_of_this_process_is_seen_from_its_opening_to_its_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address):
            assert list(look().values()).count(address) == 1
        assert address not in look().values()


def test_a_name_resolves_and_one_that_does_not_is_nothing() -> None:
    assert ("127.0.0.1", 80) in resolve("localhost", 80)
    assert resolve("no such host", 80) == set()
