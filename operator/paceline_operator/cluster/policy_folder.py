"""Policies as YAML files in a folder, their statuses and checkpoints beside them. Watches nothing: it reads when asked.

NAME.status.yaml holds the status of policy NAME, NAME.checkpoint.yaml what was learnt of it. A file that does not
parse, perhaps because it is being edited, leaves its policies as they were last read.
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
from paceline_operator.errors import InvalidSpec
from paceline_operator.ports import PolicyKey, PolicyResource, StoredCheckpoint

logger = logging.getLogger(__name__)

TARGETS: Final = "targets.yaml"
STATUS_SUFFIX: Final = ".status.yaml"
CHECKPOINT_SUFFIX: Final = ".checkpoint.yaml"


@dataclass(frozen=True, slots=True)
class _Known:
    manifest: Manifest
    generation: int
    created: datetime


class PolicyFolder:
    """The policies of one folder. Generations count the edits seen; what was first seen earlier is older."""

    def __init__(self, folder: Path, *, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now
        self._known: dict[PolicyKey, _Known] = {}
        self._read: dict[Path, Sequence[Manifest]] = {}
        self._problems: dict[Path, str] = {}

    def policies(self) -> Mapping[PolicyKey, PolicyResource]:
        """All policies as they are now."""
        found: dict[PolicyKey, Manifest] = {}
        for path in sorted(self._folder.glob("*.yaml")):
            if path.name != TARGETS and not path.name.endswith((STATUS_SUFFIX, CHECKPOINT_SUFFIX)):
                found = {_key(manifest): manifest for manifest in self._manifests(path)} | found
        self._known = {key: self._remembered(key, manifest) for key, manifest in found.items()}
        return {key: self._resource(key, known) for key, known in self._known.items()}

    def write_status(self, key: PolicyKey, status: Mapping[str, Any]) -> None:
        """Replaces NAME.status.yaml."""
        files.write(self._folder / f"{key.name}{STATUS_SUFFIX}", _yaml(status))

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

    def _manifests(self, path: Path) -> Sequence[Manifest]:
        try:
            self._read[path] = parse_manifests((files.read(path) or b"").decode())
            self._problems.pop(path, None)
        except (InvalidSpec, UnicodeDecodeError) as error:
            if self._problems.get(path) != str(error):
                logger.error("%s: %s", path.name, error)
            self._problems[path] = str(error)
        return self._read.get(path, ())

    def _remembered(self, key: PolicyKey, manifest: Manifest) -> _Known:
        known = self._known.get(key)
        if known is None:
            # Whether the spec changed while nobody looked is unknown, so it counts as changed.
            observed = self._status(key).get("observedGeneration")
            return _Known(manifest, 1 + (observed if isinstance(observed, int) else 0), self._now())
        return _Known(manifest, known.generation + (known.manifest.spec != manifest.spec), known.created)

    def _resource(self, key: PolicyKey, known: _Known) -> PolicyResource:
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
