"""A change of workers is tried on one of four pods, over a modelled fleet, with whatever may come in between."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, ModelledFleet, start_values
from paceline_operator.core.model.durations import parse_duration
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import PlatformUnavailable

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]
TRYING = {**CHOOSING, "objective": {"p95": "500ms", "prefer": "latency"}, "pools": [{"name": "postgres", "value": 8}]}


def fleet_of(spec: Mapping[str, Any] = TRYING, pods: int = 4) -> ModelledFleet:
    return ModelledFleet(spec, pods=pods, start=start_values(workers=1, postgres=8))


def document(fleet: ModelledFleet) -> Any:
    assert fleet.document_now is not None
    return fleet.document_now


async def until_tried(reconciler: Reconciler, fleet: ModelledFleet) -> None:
    for _ in range(100):
        wait = await reconciler.reconcile(KEY)
        fleet.pass_time(max(wait.total_seconds(), 0.05))
        if fleet.document_now and fleet.document_now.get("overrides"):
            return
    raise AssertionError(f"nothing was tried: {fleet.status}")


@pytest.fixture
async def trying(reconciler_of: Make) -> ModelledFleet:
    fleet = fleet_of()
    await until_tried(reconciler_of(fleet), fleet)
    return fleet


async def test_one_pod_tries_it_and_everybody_can_see_that(trying: ModelledFleet) -> None:
    (uid,) = document(trying)["overrides"]
    workers = document(trying)["overrides"][uid]["workers"]

    assert (uid, document(trying)["values"]["workers"]) == ("pod-0", 1)
    assert trying.status["tuning"]["values"]["workers"] == 1
    assert trying.status["pending"]["trying"] == f"workers 1→{workers} on 1 of 4 pods"
    last = trying.status["decisions"][-1]
    assert last["message"].startswith(f"trying workers 1→{workers} on 1 of 4 pods: ")
    assert last["values"]["workers"] == 1
    assert trying.condition("Converged")["status"] == "True", trying.condition("Converged")


async def test_what_did_well_on_one_pod_is_given_to_all(
    trying: ModelledFleet, reconciler_of: Make, drive: Drive
) -> None:
    workers = document(trying)["overrides"]["pod-0"]["workers"]

    await drive(reconciler_of(trying), trying, 9)

    assert "overrides" not in document(trying)
    assert document(trying)["values"]["workers"] == workers
    assert "for all pods, tried on 1 of 4 pods: p95" in trying.status["decisions"][-1]["message"], trying.status[
        "decisions"
    ]
    assert "triedOn" not in trying.status["pending"], "now it is verified as any change"
    assert trying.status["observed"]["coverage"] == 0.75, "what was tried is in no figure of the fleet"


async def test_a_restart_takes_it_back_at_once_and_is_remembered(trying: ModelledFleet, reconciler_of: Make) -> None:
    trying.restart(trying.pods[0])

    await reconciler_of(trying).reconcile(KEY)

    assert "overrides" not in document(trying)
    assert document(trying)["values"]["workers"] == 1
    assert trying.status["decisions"][-1]["reason"] == "RolledBack"
    assert "on 1 of 4 pods: 1 of 1 pods restarted since" in trying.status["decisions"][-1]["message"]
    assert ("RolledBack", True) in trying.events
    assert trying.memory["ceiling"]["workers"] > 1


async def test_another_pods_restart_says_nothing(trying: ModelledFleet, reconciler_of: Make) -> None:
    trying.restart(trying.pods[1])

    await reconciler_of(trying).reconcile(KEY)

    assert document(trying)["overrides"]


@pytest.mark.parametrize(
    "interrupt",
    [
        pytest.param(lambda fleet: fleet.annotate(paused="true"), id="paused"),
        pytest.param(lambda fleet: fleet.annotate_namespace(paused="true"), id="the namespace is paused"),
        pytest.param(lambda fleet: fleet.annotate(rollback="baseline"), id="rolled back by annotation"),
        pytest.param(lambda fleet: fleet.edit(mode="Recommend"), id="mode Recommend"),
        pytest.param(lambda fleet: fleet.edit(mode="Off"), id="mode Off"),
        pytest.param(lambda fleet: fleet.edit(workers={"min": 1, "max": 1}), id="bounds that forbid it"),
        pytest.param(lambda fleet: fleet.edit(workers={"value": 1}), id="pinned"),
        pytest.param(lambda fleet: fleet.pods.pop(0), id="its pod is gone"),
    ],
)
async def test_a_trial_that_is_interrupted_leaves_common_values(
    trying: ModelledFleet, reconciler_of: Make, interrupt: Callable[[ModelledFleet], object]
) -> None:
    interrupt(trying)

    await reconciler_of(trying).reconcile(KEY)

    assert "overrides" not in document(trying)
    assert document(trying)["values"]["workers"] == 1
    assert not trying.status.get("pending")
    assert not trying.memory["rejected"], "nothing was learnt"


@pytest.mark.parametrize("goes", [ModelledFleet.delete, ModelledFleet.mark_as_deleting], ids=["gone", "going"])
async def test_a_policy_that_goes_takes_what_it_tried_along(
    reconciler_of: Make, goes: Callable[[ModelledFleet], None]
) -> None:
    fleet = fleet_of()
    reconciler = reconciler_of(fleet)
    await until_tried(reconciler, fleet)
    before = document(fleet)
    goes(fleet)

    def unavailable() -> None:
        raise PlatformUnavailable("the API server does not answer")

    fleet.after_read = unavailable
    with pytest.raises(PlatformUnavailable):
        await reconciler.reconcile(KEY)

    await reconciler.reconcile(KEY)

    assert "overrides" not in document(fleet)
    assert document(fleet)["values"] == before["values"]
    assert document(fleet)["generation"] == before["generation"] + 1
    writes = fleet.document_writes
    await reconciler.reconcile(KEY)
    assert fleet.document_writes == writes


async def test_a_policy_that_goes_leaves_the_trial_of_another(reconciler_of: Make) -> None:
    fleet = fleet_of()
    reconciler = reconciler_of(fleet)
    await until_tried(reconciler, fleet)
    another = json.dumps({**document(fleet), "policy": "shop/other"}).encode()
    fleet.content = another
    fleet.delete()

    await reconciler.reconcile(KEY)

    assert fleet.content == another


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(lambda fleet: setattr(fleet, "target_exists", False), id="the target, too"),
        pytest.param(lambda fleet: setattr(fleet, "content", None), id="the document, too"),
        pytest.param(lambda fleet: setattr(fleet, "content", b"nonsense"), id="the document is unreadable"),
        pytest.param(
            lambda fleet: setattr(fleet, "before_write", lambda: setattr(fleet, "version", 99)), id="somebody writes it"
        ),
    ],
)
async def test_a_policy_that_goes_with_its_trial_fails_for_nothing_else_that_went(
    reconciler_of: Make, meanwhile: Callable[[ModelledFleet], None]
) -> None:
    fleet = fleet_of()
    reconciler = reconciler_of(fleet)
    await until_tried(reconciler, fleet)
    writes = fleet.document_writes
    fleet.delete()
    meanwhile(fleet)

    await reconciler.reconcile(KEY)

    assert fleet.document_writes == writes


async def test_an_operator_killed_before_its_status_was_written_goes_on_with_the_trial(reconciler_of: Make) -> None:
    fleet = fleet_of()

    def killed() -> None:
        if fleet.document_now and fleet.document_now.get("overrides"):
            raise RuntimeError("killed")
        fleet.before_status = killed

    fleet.before_status = killed
    with pytest.raises(RuntimeError):
        await until_tried(reconciler_of(fleet), fleet)
    fleet.before_status = None
    assert document(fleet)["overrides"]

    await reconciler_of(fleet).reconcile(KEY)

    assert document(fleet)["overrides"]
    assert fleet.status["pending"]["triedOn"] == list(document(fleet)["overrides"])


async def test_overrides_that_no_trial_accounts_for_are_taken_back(reconciler_of: Make) -> None:
    fleet = fleet_of()
    await until_tried(reconciler_of(fleet), fleet)
    fleet.content = json.dumps({name: part for name, part in document(fleet).items() if name != "intent"}).encode()
    fleet.resources[KEY] = replace(fleet.resources[KEY], status={})

    await reconciler_of(fleet).reconcile(KEY)

    assert "overrides" not in document(fleet)
    assert document(fleet)["values"]["workers"] == 1
    assert fleet.status["decisions"][-1]["reason"] == "ExternalChange"


async def test_an_operator_restarted_during_a_trial_goes_on_with_it(
    trying: ModelledFleet, reconciler_of: Make, drive: Drive
) -> None:
    for _ in range(3):
        await drive(reconciler_of(trying), trying, 1)
        assert document(trying)["overrides"]
    await drive(reconciler_of(trying), trying, 9)
    assert document(trying)["values"]["workers"] > 1


@pytest.mark.parametrize(
    ("spec", "pods"),
    [
        pytest.param({**TRYING, "behavior": {**TRYING["behavior"], "canary": {"pods": 0}}}, 4, id="nobody wants it"),
        pytest.param(TRYING, 3, id="three pods"),
        pytest.param({**TRYING, "objective": {"p95": "10ms", "prefer": "latency"}}, 4, id="the objective is missed"),
    ],
)
async def test_otherwise_it_goes_to_all_at_once(reconciler_of: Make, drive: Drive, spec: Any, pods: int) -> None:
    fleet = fleet_of(spec, pods)
    await drive(reconciler_of(fleet), fleet, 12)
    assert document(fleet)["values"]["workers"] > 1
    assert not any("trying" in entry["message"] for entry in fleet.status["decisions"])


async def test_a_pod_that_does_not_know_its_uid_is_not_asked(reconciler_of: Make, drive: Drive) -> None:
    fleet = fleet_of()
    for pod in fleet.pods:
        pod.reported_uid = ""
    await drive(reconciler_of(fleet), fleet, 12)
    assert document(fleet)["values"]["workers"] > 1
    assert not any("trying" in entry["message"] for entry in fleet.status["decisions"])


async def test_what_did_worse_than_the_other_pods_is_taken_back(
    trying: ModelledFleet, reconciler_of: Make, drive: Drive
) -> None:
    trying.pods[0].slowed = 20

    await drive(reconciler_of(trying), trying, 9)

    assert "overrides" not in document(trying)
    assert document(trying)["values"]["workers"] == 1
    entry = next(e for e in trying.status["decisions"] if e["reason"] == "RolledBack")
    others, tried = (parse_duration(text) for text in re.findall(r"p95 (\S+) → ([^ ,]+)", entry["message"])[0])
    assert tried > 10 * others, "either group is seen by itself"
    assert trying.memory["rejected"]


async def test_a_document_that_is_deleted_during_a_trial_comes_back_without_it(
    trying: ModelledFleet, reconciler_of: Make
) -> None:
    trying.content = None

    await reconciler_of(trying).reconcile(KEY)

    assert "overrides" not in document(trying)
    assert document(trying)["values"]["workers"] == 1
    assert not trying.status.get("pending")
