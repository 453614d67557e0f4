"""Sync routes run in a pool of threads that is tuned without a line in the application."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from paceline.document.model import Values
from serving import Served, StartArbiter, eventually

CALLS = 24


def highest(served: Served, threads: int) -> int:
    """How many calls ran at once, of more than there are threads; they wait until so many do."""
    assert served.get("/reset")[0] == 200
    with ThreadPoolExecutor(CALLS) as clients:
        responses = list(clients.map(lambda _: served.get(f"/?together={threads}"), range(CALLS)))
    assert {status for status, _ in responses} == {200}
    return max(int(body) for _, body in responses)


def threads(served: Served) -> dict[str, Any]:
    (report,) = served.reports()
    return dict(report["pools"]["threads"])


def test_sync_routes_run_in_as_many_threads_as_the_document_says(start_arbiter: StartArbiter) -> None:
    served = start_arbiter("syncing:app")
    assert served.reports()[0]["startValues"]["pools"] == {"threads": 40}
    assert (threads(served)["kind"], threads(served)["limit"], threads(served)["cap"]) == ("threads", 40, 400)

    served.speak(Values(pools={"threads": 2}))
    eventually(lambda: threads(served)["limit"] == 2, "two threads")
    assert highest(served, 2) == 2
    served.speak(Values(pools={"threads": 5}))
    eventually(lambda: threads(served)["limit"] == 5, "five threads")
    assert highest(served, 5) == 5
    assert highest(served, 5) == 5

    eventually(lambda: threads(served)["hold"]["count"] == 3 * CALLS, "all calls measured")
    after = threads(served)
    assert after["wait"]["count"] == 3 * CALLS
    assert after["wait"]["sum"] > after["hold"]["sum"] / CALLS, "most had to wait for others"
    assert (after["inUse"], after["open"], after["waiting"]) == (0, 0, 0)
