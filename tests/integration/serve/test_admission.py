"""A pod under more load than it is allowed to take: it says no to the rest, loses nobody, and is back afterwards."""

import http.client
from pathlib import Path
from typing import Any

import orjson
import pytest
from background_load import BackgroundLoad
from keepalive_load import KeepAliveLoad
from paceline.serve.rundir import write_atomically
from serving import Served, eventually, pod


def follows(served: Served, document: Path, generation: int, **values: Any) -> dict[str, Any]:
    """`/state` once the pod runs the values."""
    wire = {"schema": "paceline.dev/tuning/v1", "generation": generation, "values": values}
    write_atomically(document, orjson.dumps(wire))

    def applied() -> dict[str, Any] | None:
        state = served.state()
        tuning = state["tuning"]
        return state if tuning["generation"] == generation and not tuning["pending"] else None

    state: dict[str, Any] = eventually(applied, f"generation {generation} is applied")
    return state


def refusal(served: Served) -> tuple[str | None, dict[str, Any]]:
    """`Retry-After` and body of the first 503."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        connection.request("GET", "/slow", headers={"X-Request-ID": "r-7"})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if response.status == 503:
            return response.headers["Retry-After"], dict(orjson.loads(body))


@pytest.mark.timeout(120)
def test_an_overload_is_turned_away_and_nobody_is_lost(tmp_path: Path) -> None:
    document = tmp_path / "tuning.json"
    with pod(tmp_path, "limited:app", tuning_file=document) as served:
        assert served.state()["admission"] is None
        state = follows(served, document, 1, admission={"min": 4, "max": 4})
        assert state["values"]["admission"] == {"min": 4, "max": 4}
        # Four at a time, a tenth of a second each, is forty a second at best; requests come whatever became of others.
        with BackgroundLoad({f"http://127.0.0.1:{served.port}/slow": 200.0}) as load:
            retry_after, problem = refusal(served)
            eventually(lambda: served.state()["admission"]["rejected"] > 100, "many are turned away")
            eventually(lambda: sum(group["count"] for group in served.state()["requests"]) > 20, "many are answered")
        (summary,) = load.summaries
        turned_away = summary.total.failures["HTTP 503"]
        assert summary.total.failures.keys() == {"HTTP 503"}, "nobody is lost"
        assert summary.total.succeeded > 0
        assert (retry_after, problem["error"], problem["request_id"]) == ("1", "Overloaded", "r-7")
        assert int(served.get("/")[1]) == 4, "the most that the application itself has seen at once"

        def everything_is_reported() -> dict[str, Any] | None:
            state = served.state()
            admission = state["admission"]
            return state if (admission["rejected"], admission["inFlight"]) == (turned_away + 1, 0) else None

        state = eventually(everything_is_reported, "all that were turned away are counted, and nobody is left inside")
        assert sum(group["errors"] for group in state["requests"]) == 0, "turned away is not failed"

        with KeepAliveLoad(served.port, path="/slow", connections=3) as calm:
            eventually(lambda: calm.outcome.answered[200] > 20, "after the load everybody is admitted again")
        assert calm.outcome.answered.keys() == {200}

        assert "admission" not in follows(served, document, 2)["values"]
        with KeepAliveLoad(served.port, path="/slow", connections=32) as unlimited:
            eventually(lambda: int(served.get("/")[1]) > 8, "off again, the application gets them all")
        assert unlimited.outcome.answered.keys() == {200}
