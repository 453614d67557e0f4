"""Which events wake which policies."""

from typing import Any

from paceline_operator.ports import PolicyKey, TargetRef
from paceline_operator.watching import Watching

API, OTHER = PolicyKey("shop", "api"), PolicyKey("shop", "other")


def policy(target: str = "api", *, generation: int = 1, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"uid": "u", "generation": generation, **metadata},
        "spec": {"targetRef": {"name": target}},
        "status": {"observedGeneration": generation},
    }


def workload(
    name: str = "api", *, updated: int = 2, replicas: int = 2, namespace: str = "shop", ready: int = 2
) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name, "uid": "w"},
        "spec": {"replicas": replicas},
        "status": {"updatedReplicas": updated, "replicas": 2, "readyReplicas": ready},
    }


def watching(**policies: dict[str, Any]) -> Watching:
    built = Watching()
    for name, body in policies.items():
        assert built.policy_changed(PolicyKey("shop", name), body)
    return built


def test_a_status_write_wakes_nobody() -> None:
    body = policy()
    seen = watching(api=body)
    assert not seen.policy_changed(API, {**body, "status": {"observedGeneration": 1, "pods": {"total": 2}}})


def test_a_new_spec_a_switch_a_deletion_and_a_new_object_wake() -> None:
    seen = watching(api=policy())
    assert seen.policy_changed(API, policy(generation=2))
    assert seen.policy_changed(API, policy(generation=2, annotations={"paceline.dev/paused": "true"}))
    assert seen.policy_changed(API, policy(generation=2))
    assert seen.policy_changed(API, policy(generation=2, deletionTimestamp="2026-01-01T00:00:00Z"))
    assert seen.policy_changed(API, policy(generation=2, uid="another"))


def test_an_annotation_of_somebody_else_wakes_nobody() -> None:
    seen = watching(api=policy())
    assert not seen.policy_changed(API, policy(annotations={"argocd.argoproj.io/tracking-id": "x"}))


def test_a_policy_belongs_to_the_operator_of_its_class_alone_and_stays_a_rival_for_the_others() -> None:
    ours, theirs = policy(), {**policy(), "spec": {"targetRef": {"name": "api"}, "operatorClass": "batch"}}
    seen, batch = Watching(), Watching("batch")
    for each in (seen, batch):
        each.policy_seen(API, ours)
        each.policy_seen(OTHER, theirs)
        assert each.policies_of("shop", TargetRef("apps/v1", "Deployment", "api")) == {API, OTHER}
    assert (seen.is_ours(API), seen.is_ours(OTHER)) == (True, False)
    assert (batch.is_ours(API), batch.is_ours(OTHER)) == (False, True)
    seen.policy_deleted(OTHER)
    seen.policy_seen(OTHER, ours)
    assert seen.is_ours(OTHER)


def test_a_target_that_appears_wakes_its_policies_alone() -> None:
    seen = watching(api=policy(), other=policy("else"))
    assert seen.workload_changed(workload(), deleted=False) == {API}
    assert seen.workload_changed(workload("stranger"), deleted=False) == frozenset()
    assert seen.workload_changed(workload(namespace="elsewhere"), deleted=False) == frozenset()


def test_a_target_wakes_when_it_is_scaled_or_its_rollout_begins_or_ends() -> None:
    seen = watching(api=policy())
    seen.workload_changed(workload(), deleted=False)
    assert not seen.workload_changed(workload(ready=1), deleted=False)
    assert seen.workload_changed(workload(updated=1), deleted=False) == {API}
    assert not seen.workload_changed(workload(updated=0), deleted=False)
    assert seen.workload_changed(workload(updated=2), deleted=False) == {API}
    assert seen.workload_changed(workload(replicas=3, updated=3), deleted=False) == {API}


def test_a_target_that_goes_and_comes_back_wakes_both_times() -> None:
    seen = watching(api=policy())
    seen.workload_changed(workload(), deleted=False)
    assert seen.workload_changed(workload(), deleted=True) == {API}
    assert seen.workload_changed(workload(), deleted=False) == {API}


def test_the_other_policy_of_a_target_looks_again_when_one_goes() -> None:
    seen = watching(api=policy(), other=policy())
    assert seen.policy_deleted(API) == {OTHER}


def test_policies_are_found_by_what_they_name_in_their_namespace() -> None:
    seen = watching(api=policy(), other=policy())
    seen.policy_seen(PolicyKey("elsewhere", "api"), policy())
    deployment = TargetRef("apps/v1", "Deployment", "api")
    assert seen.policies_of("shop", deployment) == {API, OTHER}
    assert seen.policies_of("shop", TargetRef("apps/v1beta1", "Deployment", "api")) == {API, OTHER}
    assert seen.policies_of("shop", TargetRef("apps/v1", "StatefulSet", "api")) == frozenset()

    seen.policy_changed(OTHER, policy("else", generation=2))
    assert seen.policies_of("shop", deployment) == {API}
    seen.policy_deleted(API)
    assert seen.policies_of("shop", deployment) == frozenset()


def test_a_policy_that_was_seen_before_its_event_still_wakes() -> None:
    seen = Watching()
    seen.policy_seen(API, policy())
    assert seen.policy_changed(API, policy())


def test_a_policy_without_a_target_names_nothing() -> None:
    seen = watching(api=policy())
    seen.policy_changed(API, {**policy(generation=2), "spec": {}})
    assert seen.policies_of("shop", TargetRef("apps/v1", "Deployment", "api")) == frozenset()
    assert seen.policy_deleted(API) == frozenset()


def test_a_policy_that_comes_back_is_new() -> None:
    seen = watching(api=policy())
    seen.policy_deleted(API)
    assert seen.policy_changed(API, policy())
