"""How many pods a workload may have, read from its own words."""

from typing import Any

import pytest
from paceline_operator.cluster.shapes import read_shape
from paceline_operator.core.budget.worst_case import Shape


def item(kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "spec": spec}


def rolling(**limits: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": limits}


@pytest.mark.parametrize(
    ("workload", "shape"),
    [
        pytest.param(item(), Shape(2, 0.25, 0.25), id="what Kubernetes takes by default"),
        pytest.param(item(strategy=rolling(maxSurge=1, maxUnavailable="50%")), Shape(2, 1, 0.5), id="as written"),
        pytest.param(item(strategy={"type": "Recreate"}), Shape(2, 0, 1.0), id="Recreate"),
        pytest.param(item("StatefulSet"), Shape(2, in_place=True), id="in place"),
        pytest.param(item("Rollout", strategy={"blueGreen": {}}), Shape(2, 1.0, 0), id="blue and green"),
        pytest.param(item("Rollout", strategy={"canary": {"maxSurge": "10%"}}), Shape(2, 0.1, 0.25), id="a canary"),
        pytest.param(item(strategy=rolling(maxSurge="some")), Shape(2, 0.25, 0.25), id="what cannot be read"),
        pytest.param(
            item(minReadySeconds=40, template={"spec": {"terminationGracePeriodSeconds": 35}}),
            Shape(2, 0.25, 0.25, 40, 35),
            id="how patient it is",
        ),
    ],
)
def test_a_workload_says_how_many_pods_it_may_have(workload: dict[str, Any], shape: Shape) -> None:
    assert read_shape(workload, 2) == shape
