"""Whose a pod is where its controllers cannot be read, or are others by now: never the end of a pass."""

from collections.abc import Mapping
from typing import Any

import pytest
from paceline_operator.cluster.owners import Owner, Owners
from paceline_operator.cluster.refusals import Missing
from paceline_operator.core.model.decision import Reason
from paceline_operator.ports import PlatformRefused, TargetRef

ROLLOUT = TargetRef("argoproj.io/v1alpha1", "Rollout", "api")
DEPLOYMENT = TargetRef("apps/v1", "Deployment", "api")


def owned(name: str, kind: str, uid: str, api_version: str = "apps/v1") -> dict[str, Any]:
    owner = {"apiVersion": api_version, "kind": kind, "name": f"{kind.lower()}-1", "uid": uid, "controller": True}
    return {"metadata": {"name": name, "uid": f"of {name}", "ownerReferences": [owner]}}


def reading(found: Mapping[str, Mapping[str, Any] | Exception]) -> Owners:
    """By uid of a controller, what is read of it."""

    async def read(namespace: str, owner: Owner) -> Mapping[str, Any]:
        response = found[owner.uid]
        if isinstance(response, Exception):
            raise response
        return response

    return Owners(read)


FORBIDDEN = PlatformRefused(Reason.FORBIDDEN, "jobs is forbidden")


async def test_a_stranger_whose_controller_may_not_be_read_is_named_and_stops_nothing() -> None:
    chain = owned("set", "Rollout", "target", ROLLOUT.api_version)
    chain["metadata"]["uid"] = "set"
    owners = reading({"job": FORBIDDEN, "set": chain})
    pods = [owned("migrate", "Job", "job", "batch/v1"), owned("api-1", "ReplicaSet", "set")]

    own, strangers = await owners.sorted(pods, "shop", ROLLOUT, "target")

    assert own == [pods[1]]
    assert strangers == {"migrate": "it belongs to Job job-1, which this operator may not read"}


async def test_without_the_right_to_read_replica_sets_it_is_said_and_no_pod_is_a_stranger() -> None:
    with pytest.raises(PlatformRefused):
        await reading({"set": FORBIDDEN}).sorted([owned("a", "ReplicaSet", "set")], "shop", DEPLOYMENT, "target")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        pytest.param(Missing("gone"), "it belongs to ReplicaSet replicaset-1, which is gone", id="gone"),
        pytest.param(
            owned("replicaset-1", "Deployment", "target"),
            "it belongs to an earlier ReplicaSet replicaset-1, which is gone",
            id="another of its name",
        ),
    ],
)
async def test_a_controller_that_is_no_more_leads_nowhere(found: Any, told: str) -> None:
    own, strangers = await reading({"set": found}).sorted(
        [owned("a", "ReplicaSet", "set")], "shop", DEPLOYMENT, "target"
    )
    assert (own, strangers) == ([], {"a": told})
