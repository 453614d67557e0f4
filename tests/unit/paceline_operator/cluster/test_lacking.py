"""What the pods of a target lack: of those that run, else of the template."""

from typing import Any

from foreign import foreign
from paceline_operator.cluster.lacking import lacks_of
from paceline_operator.contract.inspected import inspected
from paceline_operator.contract.subject import read_subject


def pod_of(manifest: Any) -> dict[str, Any]:
    return {"metadata": {"name": "shop-1"}, "spec": manifest["spec"]["template"]["spec"]}


def test_without_pods_the_template_is_told() -> None:
    lacks = lacks_of(foreign(), ())
    assert list(lacks) == ["command", "port", "management", "address", "tuning", "run", "identity", "ending"]
    assert lacks["tuning"].startswith("ConfigMap shop-tuning is not mounted")


def test_a_pod_counts_with_what_was_injected_into_it() -> None:
    mended = inspected(read_subject(foreign())).mended
    assert lacks_of(foreign(), [pod_of(mended)]) == {}


def test_the_document_is_that_of_the_target_whatever_the_pods_are_called() -> None:
    rollout = {"kind": "Rollout", "metadata": {"name": "shop"}, "spec": {"workloadRef": {"kind": "Deployment"}}}
    assert lacks_of(rollout, [pod_of(inspected(read_subject(foreign())).mended)]) == {}
    assert lacks_of({**rollout, "metadata": {"name": "store"}}, [pod_of(inspected(read_subject(foreign())).mended)])
    assert lacks_of(rollout, ()) == {}
