"""Which requests a draining worker need not wait for."""

from dataclasses import replace

import pytest
from paceline.serve.worker.unfinished import Patience, Unfinished, Verdict, judge, media_type

PATIENCE = Patience(idle_seconds=6, busy_seconds=30, grace_seconds=1, endless_types=frozenset({"text/event-stream"}))
SLOW = Unfinished("GET", arriving=False, media_type=None, sized=False, silent_seconds=20)
STREAM = replace(SLOW, media_type="text/event-stream")
EXPORT = replace(SLOW, media_type="text/csv")
HALF = Unfinished("POST", arriving=True, media_type=None, sized=False, silent_seconds=0.9)


@pytest.mark.parametrize(
    ("request_", "waited", "verdict"),
    [
        (SLOW, 29, Verdict.WAIT),
        (replace(SLOW, silent_seconds=3600), 29, Verdict.WAIT),  # a long poll may get its news
        (STREAM, 0.9, Verdict.WAIT),  # its library may end it
        (STREAM, 1, Verdict.ENDLESS),
        (replace(STREAM, method="HEAD"), 1, Verdict.ENDLESS),
        (replace(STREAM, method="POST"), 29, Verdict.WAIT),
        (replace(STREAM, method="POST", silent_seconds=3600), 29, Verdict.WAIT),
        (EXPORT, 29, Verdict.WAIT),
        (replace(EXPORT, silent_seconds=299), 29, Verdict.WAIT),
        (replace(EXPORT, silent_seconds=300), 1, Verdict.ENDLESS),
        (replace(EXPORT, silent_seconds=300), 0.9, Verdict.WAIT),
        (replace(EXPORT, silent_seconds=3600, sized=True), 29, Verdict.WAIT),  # a large file and a slow client
        (HALF, 29, Verdict.WAIT),
        (replace(HALF, silent_seconds=1), 0, Verdict.STALLED),
    ],
)
def test_what_cannot_finish(request_: Unfinished, waited: float, verdict: Verdict) -> None:
    assert judge(request_, PATIENCE, waited) is verdict


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"Content-Type", b"Text/Event-Stream; charset=utf-8")], "text/event-stream"),
        ([(b"content-length", b"3"), (b"content-type", b" text/csv ")], "text/csv"),
        ([(b"content-type", b"\xff;")], "\xff"),
        ([], ""),
    ],
)
def test_the_media_type_of_a_response(headers: list[tuple[bytes, bytes]], expected: str) -> None:
    assert media_type(headers) == expected
