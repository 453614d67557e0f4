"""How many pods may hold connections at the same time: what the workload, its autoscaler and the policy say."""

import pytest
from paceline_operator.core.budget.worst_case import Shape, connections_per_pod, worst_case
from paceline_operator.core.model.tunables import WORKERS, cache, pool

PATIENT = Shape(4, min_ready_seconds=30, grace_seconds=30)


@pytest.mark.parametrize(
    ("shape", "autoscaler", "policy", "pods", "source"),
    [
        pytest.param(Shape(3), None, None, 3 + 1 + 3, "spec.replicas", id="as many again drain during a rollout"),
        pytest.param(Shape(3), None, 6, 6 + 2 + 6, "the policy's maxReplicas", id="what the policy says"),
        pytest.param(Shape(1), 4, 6, 4 + 1 + 4, "the autoscaler's maximum", id="an autoscaler knows better"),
        pytest.param(Shape(9), 4, None, 9 + 3 + 9, "spec.replicas", id="scaled by hand beyond the autoscaler"),
        pytest.param(PATIENT, None, None, 4 + 1 + 2, "spec.replicas", id="a patient rollout"),
        pytest.param(
            Shape(4, 0, 0, 60), None, None, 4 + 1, "spec.replicas", id="one at a time, where neither is given"
        ),
        pytest.param(
            Shape(4, 3, 2, 60), None, None, 4 + 3 + 4, "spec.replicas", id="never more than all of them drain"
        ),
        pytest.param(Shape(4, in_place=True), 6, None, 6, "the autoscaler's maximum", id="a StatefulSet"),
        pytest.param(Shape(4, 0, 1.0), None, None, 4 + 4, "spec.replicas", id="Recreate"),
        pytest.param(Shape(), 0, None, 0, "the autoscaler's maximum", id="scaled to nothing"),
    ],
)
def test_the_parts_add_up(shape: Shape, autoscaler: int | None, policy: int | None, pods: int, source: str) -> None:
    found = worst_case(shape, autoscaler=autoscaler, policy=policy)
    assert (found.pods, found.source) == (pods, source)


def test_pods_that_exist_count_whatever_anybody_says() -> None:
    found = worst_case(Shape(1, in_place=True), autoscaler=None, policy=2, seen=5)
    assert found.pods == 5
    assert str(found) == "5 pods that exist, more than the policy's maxReplicas allows"


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (Shape(3), "7 pods (3 by spec.replicas, 1 surge, 3 terminating)"),
        (Shape(3, in_place=True), "3 pods (3 by spec.replicas)"),
    ],
)
def test_it_says_why(shape: Shape, text: str) -> None:
    assert str(worst_case(shape, autoscaler=None, policy=None, seen=2)) == text


def test_connections_of_a_pod_are_workers_times_the_limits_of_its_pools() -> None:
    values = {WORKERS: 3.0, pool("postgres"): 5.0, pool("reports"): 2.0, pool("redis"): 9.0, cache("pages"): 60.0}
    assert connections_per_pod(values, frozenset({"postgres", "reports"})) == 21
    assert connections_per_pod({pool("postgres"): 5.0}, frozenset({"postgres"})) == 5
