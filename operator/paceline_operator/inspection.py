"""`paceline-operator inspect`: fetches a workload from the cluster or from manifests, and holds it to the contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from paceline_operator.cluster.looking import cluster_seen_by, namespace_in_use
from paceline_operator.cluster.refusals import Missing
from paceline_operator.contract.inspected import Inspected, inspected
from paceline_operator.contract.shape import check_shape
from paceline_operator.contract.subject import named, read_subject
from paceline_operator.errors import OperatorError, UsageError
from paceline_operator.ports import PlatformUnavailable

_WORKLOADS: Final[Mapping[str, tuple[str, str, str]]] = {
    "Deployment": ("/apis/apps/v1", "deployments", "deploy"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets", "sts"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets", "rs"),
    "Rollout": ("/apis/argoproj.io/v1alpha1", "rollouts", "ro"),
    "Pod": ("/api/v1", "pods", "po"),
}
"""Kind → where the API server has it, its plural, its short name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A workload as a person names it: `deploy/shop`."""

    kind: str
    name: str


def parse_workload(text: str) -> Wanted:
    """`deploy/NAME`, `statefulset/NAME`, `rollouts.argoproj.io/NAME`, … as kubectl takes them. Raises UsageError."""
    word, slash, name = text.partition("/")
    singular = word.partition(".")[0].lower()
    for kind, (_, plural, short) in _WORKLOADS.items():
        if slash and name and singular in (kind.lower(), plural, short):
            return Wanted(kind, name)
    known = ", ".join(f"{short}/NAME" for _, _, short in _WORKLOADS.values())
    raise UsageError(f"{text!r} names no workload: write {known}, or give a manifest with --filename")


async def of_cluster(wanted: Wanted, namespace: str | None, container: str | None) -> Inspected:
    """A workload of the cluster, read with the rights of whoever asks.

    Raises:
        UsageError: there is no such workload, or no access to a cluster.
        OperatorError: the API server did not respond, or refuses.
    """
    namespace = namespace or namespace_in_use()
    try:
        async with cluster_seen_by("inspect") as (server, _):
            manifest = await server.get(_path(wanted, namespace))
            referred = (manifest.get("spec") or {}).get("workloadRef")
            if wanted.kind == "Rollout" and referred:
                # Argo's Rollout may take its pods from a Deployment; the document is still the Rollout's.
                lender = await server.get(_path(Wanted(str(referred["kind"]), str(referred["name"])), namespace))
                return inspected(read_subject({"kind": referred["kind"], **lender}, container, target=wanted.name))
    except Missing as error:
        raise UsageError(f"namespace {namespace} has no {wanted.kind} {wanted.name}") from error
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error
    return inspected(read_subject({"kind": wanted.kind, **manifest}, container))


def of_manifests(text: str, wanted: Wanted | None, namespace: str | None, container: str | None) -> Inspected:
    """The workload of a YAML text; of several, the one that is named.

    Raises:
        UsageError: it is not YAML, or holds no workload, or several.
    """
    found = [each for each in _workloads(text) if _is(each, wanted, namespace)]
    if len(found) == 1:
        check_shape(found[0])
        return inspected(replace(read_subject(found[0], container), fallback_namespace=namespace))
    asked = f"no {wanted.kind} {wanted.name}" if wanted else "no workload"
    several = f"{len(found)} workloads: name one of {', '.join(sorted(map(named, found)))}"
    raise UsageError(f"the manifests hold {several if found else asked}")


def _path(wanted: Wanted, namespace: str) -> str:
    if wanted.kind not in _WORKLOADS:
        raise UsageError(f"spec.workloadRef names a {wanted.kind}: inspect its manifest with --filename")
    group, plural, _ = _WORKLOADS[wanted.kind]
    return f"{group}/namespaces/{namespace}/{plural}/{wanted.name}"


class _Loader(yaml.SafeLoader):
    """A `=` on its own is a text, as it is for kubectl; PyYAML knows the tag, and not what to make of it."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))


def _workloads(text: str) -> Sequence[Mapping[str, Any]]:
    try:
        # S506: _Loader is a SafeLoader.
        documents = [each for each in yaml.load_all(text, _Loader) if isinstance(each, Mapping)]
    except yaml.YAMLError as error:
        raise UsageError(f"not YAML: {' '.join(str(error).split())}") from error
    items = [item for each in documents for item in _items(each)]
    return [item for item in items if _has_pods(item) and not _is_hook(item)]


def _items(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What a list holds: a `List` of anything, or a `DeploymentList`, whose items need not say what they are."""
    kind, items = str(document.get("kind")), document.get("items")
    if not kind.endswith("List") or not isinstance(items, list):
        return (document,)
    known = {} if kind == "List" else {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
    return [{**known, **item} for item in items if isinstance(item, Mapping)]


def _has_pods(item: Mapping[str, Any]) -> bool:
    """Not of a Job: it ends, and nothing is tuned that ends."""
    pods = _part(_part(item, "spec"), "template").get("spec")
    return item.get("kind") == "Pod" or (item.get("kind") != "Job" and bool(pods))


def _is_hook(item: Mapping[str, Any]) -> bool:
    """What Helm runs and removes around a release, such as the pod of a `helm test`."""
    return "helm.sh/hook" in _part(_part(item, "metadata"), "annotations")


def _is(item: Mapping[str, Any], wanted: Wanted | None, namespace: str | None) -> bool:
    metadata = _part(item, "metadata")
    if namespace is not None and metadata.get("namespace", namespace) != namespace:
        return False
    return wanted is None or (item.get("kind"), metadata.get("name")) == (wanted.kind, wanted.name)


def _part(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = item.get(name)
    return found if isinstance(found, Mapping) else {}
