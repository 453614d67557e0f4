"""The platform of a laptop: policies are files in a folder, targets are process trees on loopback.

DIR/*.yaml              TuningPolicy and ConnectionBudget manifests, as for kubectl
DIR/targets.yaml        [{kind: Process, name: api, documentFile: PATH, stateUrls: [http://127.0.0.1:9090/state]}]
DIR/NAME.status.yaml    the status of policy NAME
DIR/NAME.checkpoint.yaml  what was learnt of it
DIR/NAMESPACE.NAME.budget-status.yaml  the status of a budget, with who holds how many connections

The same loop and core as in a cluster run on it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from paceline_operator.cluster import files
from paceline_operator.cluster.policy_folder import TARGETS, PolicyFolder
from paceline_operator.core.budget.worst_case import Shape
from paceline_operator.errors import UsageError
from paceline_operator.ports import (
    Conflict,
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


class _Target(BaseModel):
    """One process tree: where its document lies (relative to the folder), and where its pods report."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = "Process"
    name: Annotated[str, Field(min_length=1)]
    documentFile: Path  # noqa: N815 - the file's name for it
    stateUrls: list[Annotated[str, Field(pattern=r"^http://")]]  # noqa: N815


_TARGETS: Final = TypeAdapter(list[_Target])


class LocalPlatform:
    """Fulfils `ports.Platform` over a folder."""

    def __init__(self, folder: Path, *, now: Callable[[], datetime]) -> None:
        """Looks whether the folder can be used.

        Raises:
            UsageError: it does not exist, or has no targets.yaml that can be understood.
        """
        self._folder = folder
        self.manifests = PolicyFolder(folder, now=now)
        if not folder.is_dir():
            raise UsageError(f"{folder}: is not a folder")
        if not (folder / TARGETS).is_file():
            raise UsageError(f"{folder}: has no {TARGETS}; it says which processes to tune, see `local --help`")
        try:
            self._targets()
        except PlatformUnavailable as error:
            raise UsageError(str(error)) from error

    async def policies(self) -> Sequence[PolicyResource]:
        """All policies of the folder."""
        return tuple(self.manifests.policies().values())

    async def rivals(self, key: PolicyKey, target: TargetRef) -> Sequence[PolicyResource]:
        """The other policies of its namespace, whatever they name: all files are read either way."""
        others = (policy for policy in await self.policies() if policy.key != key)
        return [policy for policy in others if policy.key.namespace == key.namespace]

    async def policy(self, key: PolicyKey) -> PolicyResource | None:
        """One policy, read anew; None when its file is gone."""
        return self.manifests.policies().get(key)

    async def workload(self, namespace: str, target: TargetRef) -> Workload:
        """The process tree. Raises TargetNotFound."""
        found = self._target(target.kind, target.name)
        pods = tuple(
            Pod(name=f"{found.name}-{index}", uid=url, state_url=url, ready=True)
            for index, url in enumerate(found.stateUrls)
        )
        return Workload(
            namespace=namespace,
            api_version=target.api_version,
            kind=found.kind,
            name=found.name,
            uid=f"{found.kind}/{found.name}",
            replicas=len(pods),
            rolling_out=False,
            pods=pods,
            shape=Shape(len(pods), in_place=True),
        )

    async def document(self, workload: Workload) -> StoredDocument:
        """The document file; a hash of what it holds stands for its resource version."""
        content = files.read(self._document_file(workload))
        return StoredDocument(content, None if content is None else sha256(content).hexdigest())

    async def write_document(self, workload: Workload, content: bytes, expected: str | None) -> None:
        """Replaces the file if it still is what was read. Raises Conflict."""
        path = self._document_file(workload)
        if (await self.document(workload)).resource_version != expected:
            raise Conflict(f"{path} has changed")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, content)
        except OSError as error:
            raise PlatformUnavailable(f"{path}: {error.strerror}; the document could not be written") from error

    async def checkpoint(self, policy: PolicyResource) -> StoredCheckpoint:
        """NAME.checkpoint.yaml."""
        return self.manifests.checkpoint(policy.key)

    async def write_checkpoint(self, policy: PolicyResource, content: Mapping[str, Any], expected: str | None) -> str:
        """Replaces the file if it still is what was read. Raises Conflict."""
        if self.manifests.checkpoint(policy.key).resource_version != expected:
            raise Conflict(f"the checkpoint of policy {policy.key} has changed")
        self.manifests.write_checkpoint(policy.key, content)
        return str(self.manifests.checkpoint(policy.key).resource_version)

    async def nudge(self, workload: Workload, generation: int) -> None:
        """Nothing to do: the agent looks at its file ten times a second."""

    async def write_status(self, policy: PolicyResource, status: Mapping[str, Any]) -> None:
        """Replaces NAME.status.yaml. Raises Conflict when the policy has changed since."""
        present = await self.policy(policy.key)
        if present is None or present.resource_version != policy.resource_version:
            raise Conflict(f"policy {policy.key} has changed")
        self.manifests.write_status(policy.key, status)

    async def record_event(self, policy: PolicyResource, reason: str, message: str, *, warning: bool = False) -> None:
        """The log takes the place of Events."""
        logger.log(logging.WARNING if warning else logging.INFO, "%s %s: %s", policy.key, reason, message)

    def _document_file(self, workload: Workload) -> Path:
        return self._folder / self._target(workload.kind, workload.name).documentFile

    def _target(self, kind: str, name: str) -> _Target:
        for target in self._targets():
            if (target.kind, target.name) == (kind, name):
                return target
        raise TargetNotFound(f"{TARGETS} has no {kind} {name}: add it or correct spec.targetRef")

    def _targets(self) -> Sequence[_Target]:
        path = self._folder / TARGETS
        try:
            return _TARGETS.validate_python(yaml.safe_load(files.read(path) or b"") or [])
        except yaml.YAMLError as error:
            raise PlatformUnavailable(f"{path}: not YAML: {' '.join(str(error).split())}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise PlatformUnavailable(f"{path}: {where}: {first['msg']}") from error
