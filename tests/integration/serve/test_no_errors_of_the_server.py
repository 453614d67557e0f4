"""A client that hangs up and a background task that fails are no server errors; both have a count of their own."""

import socket
from pathlib import Path

from serving import eventually, pod


def test_they_are_counted_apart(tmp_path: Path) -> None:
    with pod(tmp_path, "hanging_up:app") as served:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", served.port)) as client:
                client.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
        for _ in range(2):
            assert served.get("/background")[0] == 200
        assert served.get("/broken")[0] == 500
        state = eventually(
            lambda: (found := served.state()) and found["outcomes"]["clientDisconnects"] == 3 and found,
            "those who hung up are counted",
        )
        assert state["outcomes"] == {"clientDisconnects": 3, "backgroundFailures": 2}
        assert {row["group"]: row["errors"] for row in state["requests"]} == {
            "POST /upload": 0, "GET /background": 0, "GET /broken": 1,
        }  # fmt: skip
        metrics = served.get("/metrics", served.management_port)[1].decode()
        assert "paceline_client_disconnects_total 3.0" in metrics
        assert "paceline_background_failures_total 2.0" in metrics
