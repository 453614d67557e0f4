"""What cannot be done is said at once: by the API server where it can know, else in a condition."""

import time
from typing import Any

import pytest
from release import Pinned, Release
from testcluster import CommandFailed, until

VALUES = Pinned(workers=1, postgres=5, ttl_seconds=60)


def test_an_unknown_target_is_named_in_a_condition(release: Release) -> None:
    release.apply({"targetRef": {"name": "nothing-like-it"}, "workers": {"value": 2}}, name="lost")
    until(lambda: release.condition("Ready", "lost") == ("False", "TargetNotFound"), 60, "the condition says so")
    policy = release.policy("lost") or {}
    message = next(item["message"] for item in policy["status"]["conditions"] if item["type"] == "Ready")
    assert "nothing-like-it" in message


def test_of_two_policies_on_one_target_the_older_wins(release: Release) -> None:
    release.converge(VALUES)
    time.sleep(1)  # Kubernetes counts the age of an object in whole seconds
    release.apply(Pinned(workers=3, postgres=9, ttl_seconds=10).spec(), name="younger")
    until(lambda: release.condition("Ready", "younger") == ("False", "TargetConflict"), 60, "the younger one is told")
    until(lambda: release.acked(VALUES), 60, "the older one's values stay")
    release.kubectl("delete", "tuningpolicy", "api", "--wait")
    until(lambda: release.acked(Pinned(workers=3, postgres=9, ttl_seconds=10)), 60, "the younger one takes over")


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        pytest.param({"workers": {"min": 5, "max": 2}}, "min is larger than max", id="min above max"),
        pytest.param({"workers": {"value": 2, "max": 4}}, "either value", id="pinned and bounded at once"),
        pytest.param({"workers": {"value": 0}}, "greater than or equal to 1", id="no workers"),
        pytest.param({"objective": {"p95": "45 ms"}}, "45 ms", id="a duration with a space"),
        pytest.param({"behavior": {"interval": "1s"}}, "5s or more", id="an interval that is too short"),
        pytest.param(
            {"caches": [{"name": "responses", "ttl": {"min": "5m", "max": "5s"}}]},
            "min 5m is longer than max 5s",
            id="a TTL with min above max",
        ),
        pytest.param({"workers": {"min": 1, "max": 2}}, "objective.p95 is needed", id="a choice without an aim"),
        pytest.param({"mode": "Maybe"}, "Recommend", id="a mode that does not exist"),
    ],
)
def test_the_api_server_refuses(release: Release, spec: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        release.apply(spec, name="refused")
    assert complaint in str(refused.value)
