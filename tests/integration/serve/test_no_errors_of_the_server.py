"""A client that hangs up and a background task that fails are no server errors; both have a count of their own."""

import socket
import time
from pathlib import Path

from serving import eventually, pod

PHASES = (
    "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
    "GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /waiting HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "GET /streaming HTTP/1.1\r\nHost: a\r\n\r\n",
)
NO_REQUESTS = ("", "GET / HT", "GET /waiting HTTP/1.1\r\nHost: a\r\n")
COMPLETE = "GET /background HTTP/1.1\r\nHost: a\r\n\r\n"


def test_they_are_counted_apart(tmp_path: Path) -> None:
    with pod(tmp_path, "hanging_up:app") as served:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", served.port)) as client:
                client.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
        for _ in range(2):
            assert served.get("/background")[0] == 200
        assert served.get("/broken")[0] == 500
        counted = {"clientDisconnects": 3, "backgroundFailures": 2}  # each may be counted after its client has gone
        state = eventually(
            lambda: (now := served.state()) and now["outcomes"] == counted and len(now["requests"]) == 3 and now,
            "those who hung up and the tasks that failed are counted",
        )
        assert {row["group"]: row["errors"] for row in state["requests"]} == {
            "POST /upload": 0, "GET /background": 0, "GET /broken": 1,
        }  # fmt: skip
        metrics = served.get("/metrics", served.management_port)[1].decode()
        assert "paceline_client_disconnects_total 3.0" in metrics
        assert "paceline_background_failures_total 2.0" in metrics


def test_a_client_that_hangs_up_is_counted_in_every_phase(tmp_path: Path) -> None:
    """Also where the handler never noticed. What was no request yet, and what was complete, is neither."""
    with pod(tmp_path, "hanging_up:app") as served:
        for sent in (*PHASES, *NO_REQUESTS, COMPLETE):
            with socket.create_connection(("127.0.0.1", served.port)) as client:
                client.sendall(sent.encode())
                time.sleep(0.2)
        state = eventually(
            lambda: (found := served.state()) and sum(row["count"] for row in found["requests"]) == 5 and found,
            "all requests have ended",
        )
        assert state["outcomes"] == {"clientDisconnects": len(PHASES), "backgroundFailures": 1}
        assert [row["errors"] for row in state["requests"]] == [0] * len(state["requests"])
