"""An application that others wrote moves under Paceline, and back, by a few lines; what it answers stays the same."""

import difflib
import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from serving import Served, eventually

APPLICATIONS = Path(__file__).parent / "applications"
DOCUMENT = Path(__file__).parents[3] / "docs" / "adopting.md"
LONGEST_DIFF = 15
SERVERS = ("gunicorn", "paceline serve")
POOLS = {"postgres": 5, "redis": 10, "threads": 40}


def ask(served: Served, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ask_json(served: Served, method: str, path: str, value: Any = None) -> tuple[int, Any]:
    status, body = ask(served, method, path, None if value is None else json.dumps(value).encode())
    return status, json.loads(body)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("target", ["shop:app", "shop_tuned:app"])
def test_the_shop_answers_the_same(run: Any, server: str, target: str) -> None:
    customer = f"{server}-{target}".replace(" ", "-").replace(":", "-")
    with run(server, target) as served:
        status, created = ask_json(served, "POST", "/orders", {"customer": customer, "cents": 250})
        assert status == 201
        assert ask_json(served, "GET", f"/orders/{created['id']}") == (
            200,
            {**created, "customer": customer, "cents": 250},
        )
        assert ask_json(served, "GET", "/orders/999999") == (404, {"detail": "no such order"})
        assert ask_json(served, "POST", "/orders", {"customer": customer})[0] == 422
        assert ask_json(served, "GET", f"/turnover/{customer}") == (200, {"customer": customer, "cents": 250})
        ask_json(served, "POST", "/orders", {"customer": customer, "cents": 50})
        assert ask_json(served, "GET", f"/turnover/{customer}") == (200, {"customer": customer, "cents": 300})
        assert ask_json(served, "GET", "/rate/EUR") == (200, {"currency": "EUR", "rate": 1.25})
        assert len(ask_json(served, "GET", "/receipt/7")[1]["seal"]) == 64
        # Under plain gunicorn the worker that answers may be one that had no order.
        eventually(lambda: b'http_requests_total{handler="/orders"' in ask(served, "GET", "/metrics")[1], "counted")
        assert served.stop() == 0


def test_what_the_shop_names_can_be_tuned(run: Any) -> None:
    with run("paceline serve", "shop_tuned:app") as served:
        eventually(lambda: set(served.state()["startValues"]["pools"]) == set(POOLS), "all pools are known")
        start_values = served.state()["startValues"]
    assert start_values["pools"] == POOLS
    assert start_values["caches"] == {"rates": {"ttlSeconds": 60}}


def test_what_the_shop_counts_is_right_for_all_its_workers(run: Any) -> None:
    with run("paceline serve", "shop:app") as served:
        for number in range(20):
            assert ask(served, "GET", f"/receipt/{number}")[0] == 200
        text = served.get("/metrics", served.management_port)[1].decode()
    counted = [line for line in text.splitlines() if line.startswith('http_requests_total{handler="/receipt/{number}"')]
    assert [line.rpartition(" ")[2] for line in counted] == ["20.0"]


def test_the_move_is_as_small_as_the_document_shows() -> None:
    before, after = ((APPLICATIONS / name).read_text().splitlines() for name in ("shop.py", "shop_tuned.py"))
    lines = list(difflib.unified_diff(before, after, "shop.py", "shop.py", n=1, lineterm=""))
    changed = [line for line in lines[2:] if line.startswith(("+", "-"))]
    assert 0 < len(changed) <= LONGEST_DIFF
    assert "```diff\n" + "\n".join(lines) + "\n```\n" in DOCUMENT.read_text()


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("framework", ["starlette", "litestar", "quart", "django"])
def test_other_frameworks_run(run: Any, server: str, framework: str) -> None:
    with run(server, f"{framework}_app:app") as served:
        assert ask_json(served, "GET", "/greet/Ada") == (200, {"greeting": "hello Ada"})
        assert ask(served, "GET", "/stream") == (200, b"0\n1\n2\n")
        assert ask(served, "GET", "/refuse")[0] == 418
        assert served.stop() == 0


@pytest.mark.parametrize(
    ("framework", "route"),
    [
        ("starlette", "/greet/{name}"),
        ("litestar", "/greet/{name}"),
        ("quart", "/greet/<name>"),
        ("django", "/greet/<name>"),
    ],
)
def test_other_frameworks_name_their_routes(run: Any, framework: str, route: str) -> None:
    def groups() -> dict[str, int]:
        return {row["group"]: row["count"] for row in served.state()["requests"]}

    with run("paceline serve", f"{framework}_app:app") as served:
        for path in ("/greet/Ada", "/greet/Grace", "/made/up", "/made-up-too"):
            ask(served, "GET", path)
        eventually(lambda: groups().get(f"GET {route}") == 2 and groups().get("other", 0) >= 2, "all are counted")
        assert set(groups()) == {f"GET {route}", "other"}


@pytest.mark.parametrize("server", SERVERS)
def test_an_application_without_a_framework_runs(run: Any, server: str) -> None:
    with run(server, "asgi_app:app") as served:
        assert ask(served, "POST", "/", b"x" * 100_000) == (200, b"x" * 100_000)
        assert ask(served, "GET", "/path") == (200, b"/path")
