"""The platform on a Kubernetes API server: reads and writes of one reconcile pass, nothing decided, nothing remembered
but which resource serves a kind, and which controllers belong to a target."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from paceline_operator.cluster import patches
from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.lacking import lacks_of
from paceline_operator.cluster.objects import (
    is_rolling_out,
    living,
    read_annotations,
    read_checkpoint,
    read_pods,
    read_policy,
    template_digest,
)
from paceline_operator.cluster.owners import Owner, Owners
from paceline_operator.cluster.refusals import Missing
from paceline_operator.cluster.shapes import read_shape
from paceline_operator.core.model.decision import Reason
from paceline_operator.ports import (
    Conflict,
    PlatformRefused,
    PlatformUnavailable,
    Pod,
    PolicyKey,
    PolicyResource,
    StoredCheckpoint,
    StoredDocument,
    TargetNotFound,
    TargetRef,
    Workload,
)

logger = logging.getLogger(__name__)

_Choice: TypeAlias = Callable[[str, str, Sequence[Mapping[str, Any]]], str]
"""Api version, kind, and what is served of it → the plural."""

_POLICIES: Final = "tuningpolicies"
_CHECKPOINTS: Final = "tuningcheckpoints"
_NUDGES_AT_ONCE: Final = 32
# A policy's author writes parts of our paths; the API server forbids these in any name.
_NO_NAMES: Final = frozenset({"", ".", ".."})
_NOT_IN_NAMES: Final = frozenset("/%")


class KubernetesPlatform:
    """Fulfils `ports.Platform`."""

    def __init__(
        self,
        server: ApiServer,
        *,
        policies_of: Callable[[str, TargetRef], AbstractSet[PolicyKey]],
        nudging: bool,
        now: Callable[[], datetime],
        reporter: str,
    ) -> None:
        """`policies_of` gives the policies of a namespace that name a target, as the watch has seen them."""
        self._server = server
        self._policies_of = policies_of
        self._nudging = nudging
        self._nudges = asyncio.Semaphore(_NUDGES_AT_ONCE)
        self._now = now
        self._reporter = reporter
        self._resources: dict[tuple[str, str, _Choice], str] = {}
        self._owners = Owners(self._owner)

    async def rivals(self, key: PolicyKey, target: TargetRef) -> Sequence[PolicyResource]:
        """The other policies of the target. The watch names them, so that a pass need not list all that there are."""
        others = self._policies_of(key.namespace, target) - {key}
        found = await asyncio.gather(*(self.policy(other) for other in others))
        return [policy for policy in found if policy is not None]

    async def policy(self, key: PolicyKey) -> PolicyResource | None:
        """One policy, read anew with its namespace's annotations; None when it is gone."""
        policy: Mapping[str, Any] | None = None
        try:
            policy = await self._server.get(_path_of(_POLICIES, key))
            namespace = await self._server.get(_path("v1", "namespaces", name=key.namespace))
        except Missing:
            return None
        except PlatformRefused as error:
            if policy is None:
                raise
            return replace(read_policy(policy), refused=str(error))
        return replace(read_policy(policy), namespace_annotations=read_annotations(namespace))

    async def workload(self, namespace: str, target: TargetRef) -> Workload:
        """The target and its pods. Raises TargetNotFound."""
        resource = await self._resource(target)
        try:
            path = _path(target.api_version, resource, namespace=namespace, name=target.name)
            item, scale = await asyncio.gather(self._server.get(path), self._server.get(f"{path}/scale"))
        except Missing as error:
            raise TargetNotFound(
                f"namespace {namespace} has no {target.kind} {target.name}: create it or correct spec.targetRef"
            ) from error
        uid, selector = item["metadata"]["uid"], scale.get("status", {}).get("selector")
        items = await self._items(namespace, target, selector)
        own, strangers = await self._owners.sorted(items, namespace, target, uid)
        return Workload(
            namespace=namespace,
            api_version=target.api_version,
            kind=target.kind,
            name=target.name,
            uid=uid,
            replicas=scale.get("spec", {}).get("replicas", 0),
            rolling_out=is_rolling_out(item),
            pods=read_pods(own),
            template=template_digest(item, own),
            strangers=strangers,
            shape=read_shape(item, scale.get("spec", {}).get("replicas", 0)),
            lacks=lacks_of(item, own),
        )

    async def _items(self, namespace: str, target: TargetRef, selector: str | None) -> list[Mapping[str, Any]]:
        if not selector:  # an empty selector would name every pod of the namespace
            raise TargetNotFound(
                f"the scale of {target.kind} {target.name} names no selector, so its pods cannot be found: "
                "set labelSelectorPath in the CRD of that kind"
            )
        found = await self._server.get(_path("v1", "pods", namespace=namespace), labelSelector=selector)
        return living(found["items"])

    async def _owner(self, namespace: str, owner: Owner) -> Mapping[str, Any]:
        resource = await self._plural(owner.api_version, owner.kind, _first)
        return await self._server.get(_path(owner.api_version, resource, namespace=namespace, name=owner.name))

    async def _resource(self, target: TargetRef) -> str:
        """The plural under which the API server serves a kind that can be scaled, by discovery."""
        try:
            return await self._plural(target.api_version, target.kind, _scalable)
        except Missing as error:
            raise TargetNotFound(
                f"the cluster does not serve {target.api_version}: correct spec.targetRef.apiVersion"
            ) from error

    async def _plural(self, api_version: str, kind: str, chosen: _Choice) -> str:
        key = api_version, kind, chosen
        if key not in self._resources:
            served = (await self._server.get(_path(api_version))).get("resources", ())
            self._resources[key] = chosen(api_version, kind, served)
        return self._resources[key]

    async def document(self, workload: Workload) -> StoredDocument:
        """The stored tuning document. Raises PlatformRefused where a foreign ConfigMap has its name."""
        try:
            found = await self._server.get(_document_path(workload))
        except Missing:
            return StoredDocument()
        data: Mapping[str, str] = found.get("data") or {}
        labels = found["metadata"].get("labels") or {}
        if set(data) - {patches.DOCUMENT_KEY} or not patches.MANAGED_BY.items() <= labels.items():
            raise PlatformRefused(
                Reason.FOREIGN_CONFIG_MAP,
                f"ConfigMap {workload.namespace}/{workload.document_name} is not Paceline's: it lacks the label "
                "app.kubernetes.io/managed-by: paceline, or holds other keys than tuning.json; rename or delete it, "
                "the tuning document needs this name",
            )
        content = data.get(patches.DOCUMENT_KEY)
        return StoredDocument(None if content is None else content.encode(), found["metadata"]["resourceVersion"])

    async def write_document(self, workload: Workload, content: bytes, expected: str | None) -> None:
        """Stores the document if its resource version is still `expected` (None: creates it). Raises Conflict."""
        body = patches.document_config_map(workload, content, expected)
        try:
            if expected is None:
                await self._server.create(_path("v1", "configmaps", namespace=workload.namespace), body)
            else:
                await self._server.replace(_document_path(workload), body)
        except Missing as error:
            raise Conflict(f"ConfigMap {workload.document_name} or its namespace is gone") from error

    async def checkpoint(self, policy: PolicyResource) -> StoredCheckpoint:
        """What was learnt of the policy."""
        try:
            return read_checkpoint(await self._server.get(_path_of(_CHECKPOINTS, policy.key)), policy.uid)
        except Missing:
            return StoredCheckpoint()

    async def write_checkpoint(self, policy: PolicyResource, content: Mapping[str, Any], expected: str | None) -> str:
        """Stores it if its resource version is still `expected` (None: creates it). Raises Conflict."""
        body, path = patches.checkpoint_object(policy, content, expected), _path_of(_CHECKPOINTS, policy.key)
        try:
            if expected is not None:
                return str((await self._server.replace(path, body))["metadata"]["resourceVersion"])
            return str((await self._server.create(path.rpartition("/")[0], body))["metadata"]["resourceVersion"])
        except Missing as error:
            if expected is not None:
                raise Conflict(f"TuningCheckpoint {policy.key} is gone") from error
            raise PlatformRefused(
                Reason.REQUEST_REFUSED,
                f"TuningCheckpoint {policy.key} cannot be created: {error}; "
                "apply the CRD tuningcheckpoints.paceline.dev, which comes with the chart",
            ) from error

    async def nudge(self, workload: Workload, generation: int) -> None:
        """Makes kubelet sync the mounted document at once, through `pods/status`; best effort."""
        if not self._nudging:
            return
        results = await asyncio.gather(*(self._nudge(workload.namespace, pod, generation) for pod in workload.staying))
        failures = [failure for failure in results if failure]
        if failures:
            logger.warning(
                "%d pods of %s/%s were not nudged and see generation %d a minute later: %s",
                len(failures), workload.namespace, workload.name, generation, failures[0],
            )  # fmt: skip

    async def _nudge(self, namespace: str, pod: Pod, generation: int) -> str | None:
        path = _path("v1", "pods", namespace=namespace, name=pod.name)
        async with self._nudges:
            try:
                await self._server.merge(f"{path}/status", patches.nudge_patch(pod, generation))
            except (Missing, Conflict):
                return None  # the pod has gone meanwhile
            except PlatformUnavailable as error:
                return str(error)
        return None

    async def write_status(self, policy: PolicyResource, status: Mapping[str, Any]) -> None:
        """Replaces the status if the policy is still the one read. Raises Conflict."""
        try:
            path = _path_of(_POLICIES, policy.key)
            await self._server.replace(f"{path}/status", patches.status_update(policy, status))
        except Missing as error:
            raise Conflict(f"TuningPolicy {policy.key} is gone") from error

    async def record_event(self, policy: PolicyResource, reason: str, message: str, *, warning: bool = False) -> None:
        """Emits a Kubernetes Event about the policy; best effort."""
        body = patches.event(policy, reason, message, warning=warning, now=self._now(), reporter=self._reporter)
        try:
            await self._server.create(_path("events.k8s.io/v1", "events", namespace=policy.key.namespace), body)
        except (Missing, Conflict, PlatformUnavailable) as error:
            logger.warning("event %s about %s was not recorded: %s", reason, policy.key, error)


def _first(api_version: str, kind: str, served: Sequence[Mapping[str, Any]]) -> str:
    """The plural of a kind. Raises Missing."""
    kinds = [item["name"] for item in served if item["kind"] == kind and "/" not in item["name"]]
    if not kinds:
        raise Missing(f"{api_version} has no kind {kind}")
    return str(kinds[0])


def _scalable(api_version: str, kind: str, served: Sequence[Mapping[str, Any]]) -> str:
    try:
        plural = _first(api_version, kind, served)
    except Missing as error:
        raise TargetNotFound(f"{error}: correct spec.targetRef.kind") from error
    if f"{plural}/scale" not in {resource["name"] for resource in served}:
        raise TargetNotFound(f"a {kind} has no scale subresource, so Paceline cannot tune it")
    return plural


def _path(
    api_version: str, resource: str | None = None, *, namespace: str | None = None, name: str | None = None
) -> str:
    """`/apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME`.

    Raises:
        Missing: a part can name nothing, and would lead elsewhere.
    """
    group, _, version = api_version.rpartition("/")
    parts = ["apis", group, version] if group else ["api", version]
    parts += ["namespaces", namespace] if namespace is not None else []
    parts += [part for part in (resource, name) if part is not None]
    for part in parts:
        if part in _NO_NAMES or _NOT_IN_NAMES & set(part):
            raise Missing(f"{part!r} is no name")
    return "".join(f"/{quote(part)}" for part in parts)


def _path_of(resource: str, key: PolicyKey) -> str:
    return _path(patches.API_VERSION, resource, namespace=key.namespace, name=key.name)


def _document_path(workload: Workload) -> str:
    return _path("v1", "configmaps", namespace=workload.namespace, name=workload.document_name)
