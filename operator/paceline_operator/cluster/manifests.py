"""Manifests of our kinds as people write them for kubectl: YAML text → names and specs. Reads no file itself."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from paceline_operator.cluster.patches import API_VERSION, KIND
from paceline_operator.core.model.tunables import NOTHING
from paceline_operator.errors import InvalidSpec

DEFAULT_NAMESPACE: Final = "default"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One TuningPolicy, or another kind that was asked for; its spec is not looked at yet."""

    namespace: str
    name: str
    spec: Mapping[str, Any]
    annotations: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    kind: str = KIND


def parse_manifests(text: str, kinds: Collection[str] = (KIND,)) -> tuple[Manifest, ...]:
    """The policies in a YAML text, or what it has of other kinds; the rest is left out.

    Raises:
        InvalidSpec: the text is not YAML, or one of them lacks its name or spec.
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidSpec([f"not YAML: {' '.join(str(error).split())}"]) from error
    return tuple(_manifest(document) for document in documents if _is_one(document, kinds))


def _is_one(document: object, kinds: Collection[str]) -> bool:
    if not isinstance(document, dict):
        raise InvalidSpec([f"not a Kubernetes object but {type(document).__name__}"])
    if document.get("kind") not in kinds:
        return False
    if document.get("apiVersion") != API_VERSION:
        raise InvalidSpec([f"apiVersion: {document.get('apiVersion')!r}, this version knows {API_VERSION}"])
    return True


def _manifest(document: Mapping[str, Any]) -> Manifest:
    metadata, spec = document.get("metadata") or {}, document.get("spec")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise InvalidSpec(["metadata.name: is missing"])
    if not isinstance(spec, dict):
        raise InvalidSpec(["spec: is missing"])
    annotations = {str(name): str(value) for name, value in (metadata.get("annotations") or {}).items()}
    namespace = str(metadata.get("namespace") or DEFAULT_NAMESPACE)
    return Manifest(namespace, metadata["name"], spec, annotations, document["kind"])
