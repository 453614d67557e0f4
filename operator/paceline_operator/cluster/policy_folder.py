"""Policies and budgets as YAML files in a folder, their statuses and checkpoints beside them. Watches nothing: it reads
when asked.

NAME.status.yaml holds the status of policy NAME, NAME.checkpoint.yaml what was learnt of it, and
NAMESPACE.NAME.budget-status.yaml the status of a ConnectionBudget. A file that does not parse, perhaps because it is
being edited, leaves its policies and budgets as they were last read.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import yaml

from paceline_operator.cluster import files
from paceline_operator.cluster.manifests import Manifest, parse_manifests
from paceline_operator.cluster.patches import BUDGET_KIND as BUDGET
from paceline_operator.cluster.patches import KIND as POLICY
from paceline_operator.errors import InvalidSpec
from paceline_operator.ports import BudgetResource, PolicyKey, PolicyResource, StoredCheckpoint

logger = logging.getLogger(__name__)

TARGETS: Final = "targets.yaml"
STATUS_SUFFIX: Final = ".status.yaml"
CHECKPOINT_SUFFIX: Final = ".checkpoint.yaml"
BUDGET_SUFFIX: Final = ".budget-status.yaml"
_OURS: Final = (STATUS_SUFFIX, CHECKPOINT_SUFFIX, BUDGET_SUFFIX)
"""Files that the operator writes."""


@dataclass(frozen=True, slots=True)
class _Known:
    manifest: Manifest
    generation: int
    created: datetime


class PolicyFolder:
    """Those of one folder. Generations count the edits seen; what was first seen earlier is older."""

    def __init__(self, folder: Path, *, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now
        self._known: dict[str, Mapping[PolicyKey, _Known]] = {POLICY: {}, BUDGET: {}}
        self._read: dict[Path, Sequence[Manifest]] = {}
        self._contents: dict[Path, bytes] = {}
        """What each file held when it was last parsed: YAML is slow, and looks are many."""

    def policies(self) -> Mapping[PolicyKey, PolicyResource]:
        """All policies as they are now."""
        return {key: self._policy(key, known) for key, known in self._all(POLICY, self._status).items()}

    def budgets(self) -> Mapping[PolicyKey, BudgetResource]:
        """All ConnectionBudgets as they are now."""
        return {key: self._budget(key, known) for key, known in self._all(BUDGET, self._budget_status).items()}

    def write_status(self, key: PolicyKey, status: Mapping[str, Any]) -> None:
        """Replaces NAME.status.yaml."""
        files.write(self._folder / f"{key.name}{STATUS_SUFFIX}", _yaml(status))

    def write_budget_status(self, key: PolicyKey, status: Mapping[str, Any]) -> None:
        """Replaces NAMESPACE.NAME.budget-status.yaml."""
        files.write(self._budget_file(key), _yaml(status))

    def checkpoint(self, key: PolicyKey) -> StoredCheckpoint:
        """What NAME.checkpoint.yaml holds; a hash of it stands for its resource version."""
        content = files.read(self._folder / f"{key.name}{CHECKPOINT_SUFFIX}")
        if content is None:
            return StoredCheckpoint()
        found = _mapping(content)
        return StoredCheckpoint(found, sha256(content).hexdigest(), foreign=found.get("policy") != str(key))

    def write_checkpoint(self, key: PolicyKey, content: Mapping[str, Any]) -> None:
        """Replaces NAME.checkpoint.yaml."""
        files.write(self._folder / f"{key.name}{CHECKPOINT_SUFFIX}", _yaml({"policy": str(key), **content}))

    def _all(self, kind: str, status: Callable[[PolicyKey], Mapping[str, Any]]) -> Mapping[PolicyKey, _Known]:
        found: dict[PolicyKey, Manifest] = {}
        for path in sorted(self._folder.glob("*.yaml")):
            if path.name != TARGETS and not path.name.endswith(_OURS):
                found = {_key(each): each for each in self._manifests(path) if each.kind == kind} | found
        before = self._known[kind]
        self._known[kind] = {key: self._remembered(before.get(key), each, status(key)) for key, each in found.items()}
        return self._known[kind]

    def _manifests(self, path: Path) -> Sequence[Manifest]:
        content = files.read(path) or b""
        if content != self._contents.get(path):
            self._contents[path] = content
            try:
                self._read[path] = parse_manifests(content.decode(), (POLICY, BUDGET))
            except (InvalidSpec, UnicodeDecodeError) as error:
                logger.error("%s: %s", path.name, error)
        return self._read.get(path, ())

    def _remembered(self, known: _Known | None, manifest: Manifest, status: Mapping[str, Any]) -> _Known:
        if known is None:
            # Whether the spec changed while nobody looked is unknown, so it counts as changed.
            observed = status.get("observedGeneration")
            return _Known(manifest, 1 + (observed if isinstance(observed, int) else 0), self._now())
        return _Known(manifest, known.generation + (known.manifest.spec != manifest.spec), known.created)

    def _policy(self, key: PolicyKey, known: _Known) -> PolicyResource:
        return PolicyResource(
            key=key,
            uid=str(key),
            generation=known.generation,
            resource_version=str(known.generation),
            created=known.created,
            spec=known.manifest.spec,
            status=self._status(key),
            annotations=known.manifest.annotations,
        )

    def _budget(self, key: PolicyKey, known: _Known) -> BudgetResource:
        # The ledger is in the status, so whoever writes it must have seen the latest one.
        status = files.read(self._budget_file(key)) or b""
        version = f"{known.generation} {sha256(status).hexdigest()}"
        return BudgetResource(key, str(key), known.generation, version, known.manifest.spec, _mapping(status))

    def _budget_status(self, key: PolicyKey) -> Mapping[str, Any]:
        return _mapping(files.read(self._budget_file(key)) or b"")

    def _budget_file(self, key: PolicyKey) -> Path:
        # With the namespace, which has no dots: two budgets of one name never share a ledger.
        return self._folder / f"{key.namespace}.{key.name}{BUDGET_SUFFIX}"

    def _status(self, key: PolicyKey) -> Mapping[str, Any]:
        return _mapping(files.read(self._folder / f"{key.name}{STATUS_SUFFIX}") or b"")


def _mapping(content: bytes) -> Mapping[str, Any]:
    """Empty where it is none: what we wrote is replaced then, and says no more than that nothing is known."""
    try:
        found = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _yaml(fields: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True).encode()


def _key(manifest: Manifest) -> PolicyKey:
    return PolicyKey(manifest.namespace, manifest.name)
