"""TuningPolicies as people handle them: one, all of them, an annotation on one. With the rights of whoever asks."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.objects import read_annotations, read_policy
from paceline_operator.cluster.patches import API_VERSION
from paceline_operator.cluster.refusals import Missing
from paceline_operator.errors import UsageError
from paceline_operator.ports import PolicyKey, PolicyResource

_GROUP: Final = f"/apis/{API_VERSION}"
_POLICIES: Final = "tuningpolicies"


async def policy_named(server: ApiServer, key: PolicyKey) -> PolicyResource:
    """One policy. Raises UsageError where there is none, PlatformUnavailable."""
    try:
        return read_policy(await server.get(_path(key)))
    except Missing as error:
        raise UsageError(f"there is no TuningPolicy {key}: `kubectl get tp --all-namespaces` lists them") from error


async def policies_in(server: ApiServer, namespace: str | None) -> Sequence[PolicyResource]:
    """Those of a namespace, or of all. Raises UsageError where the cluster knows no such kind, PlatformUnavailable."""
    where = f"{_GROUP}/{_POLICIES}" if namespace is None else f"{_GROUP}/namespaces/{quote(namespace, '')}/{_POLICIES}"
    try:
        found = await server.get(where)
    except Missing as error:
        raise UsageError("the cluster knows no TuningPolicies: install the chart, which brings their CRD") from error
    return [read_policy(item) for item in found["items"]]


async def annotate(server: ApiServer, key: PolicyKey, annotations: Mapping[str, str | None]) -> None:
    """Sets annotations of a policy; None takes one away. Raises UsageError, PlatformUnavailable."""
    try:
        await server.merge(_path(key), {"metadata": {"annotations": dict(annotations)}})
    except Missing as error:
        raise UsageError(f"there is no TuningPolicy {key}: `kubectl get tp --all-namespaces` lists them") from error


async def annotations_of_namespace(server: ApiServer, namespace: str) -> Mapping[str, str]:
    """Raises PlatformUnavailable."""
    return read_annotations(await server.get(f"/api/v1/namespaces/{quote(namespace, '')}"))


def _path(key: PolicyKey) -> str:
    return f"{_GROUP}/namespaces/{quote(key.namespace, '')}/{_POLICIES}/{quote(key.name, '')}"
