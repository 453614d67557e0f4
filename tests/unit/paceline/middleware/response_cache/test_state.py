"""What middleware in front said about a client bypasses the cache; what is the same for all does not."""

import logging
from typing import Any

import pytest
from cached_site import Site

pytestmark = pytest.mark.invariant


@pytest.mark.parametrize("key", ["user", "auth", "session", "tenant", "identity"])
async def test_what_middleware_in_front_says_about_a_client_bypasses(key: str) -> None:
    site = Site(lambda scope: (200, [], repr(scope.get(key)).encode()))
    await site.get()
    for value in ("ada", "bob"):
        got = await site.get(**{key: value})
        assert (got.body, got.hit) == (repr(value).encode(), False)
    assert (await site.get()).body == b"None"


async def test_state_of_one_request_bypasses_and_state_of_the_lifespan_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site(lambda scope: (200, [], repr(sorted(scope["state"].items())).encode()))
    await site.start(pool="pool")
    usual = {**site.state, "request_id": "r"}
    assert not (await site.get(state=dict(usual))).hit
    assert (await site.get(state=dict(usual))).hit
    for user in ("ada", "bob"):
        got = await site.get(state={**usual, "user": user})
        assert (user.encode() in got.body, got.hit) == (True, False)
    assert b"other" in (await site.get(state={"pool": "other", "request_id": "r", "x": 1})).body
    got = await site.get(state={**usual, "user": None})
    assert b"ada" not in got.body


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"pool": "pool", "tenant": "ada"}, id="an entry in place of the usual one"),
        pytest.param({"pool": "of ada", "request_id": "r"}, id="another object under a name of the lifespan's"),
        pytest.param({"tenant": "ada", "user": None}, id="a state of its own"),
    ],
)
async def test_a_state_with_as_many_entries_as_usual_is_looked_at_too(state: dict[str, Any]) -> None:
    site = Site(lambda scope: (200, [], repr(sorted(scope["state"].items())).encode()))
    await site.start(pool="pool")
    for _ in range(3):
        await site.get(state={"pool": site.state["pool"], "request_id": "r"})
    assert site.calls == 1
    got = await site.get(state=state)
    assert (b"ada" in got.body, got.hit) == (True, False)


async def test_a_scope_with_as_many_entries_as_usual_is_looked_at_too() -> None:
    site = Site(lambda scope: (200, [], repr(scope.get("tenant")).encode()))
    for _ in range(3):
        await site.get(path_template="/data")
    assert site.calls == 1
    assert (await site.get(tenant="ada")).body == b"'ada'"


async def test_state_that_is_the_same_for_all_can_be_named() -> None:
    site = Site(lambda scope: (200, [], scope["state"]["catalogue"].encode()), shared=("catalogue",))
    bodies = [(await site.get(state={"catalogue": "one"})).body for _ in range(2)]
    assert (bodies, site.calls) == ([b"one", b"one"], 1)


async def test_a_user_in_front_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    with caplog.at_level(logging.WARNING, "paceline"):
        for _ in range(3):
            await site.get(user="ada")
    [record] = caplog.records
    assert "middleware in front sets user" in record.getMessage()
