"""The shape of what the clauses read: a manifest from a file has not been through an API server."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from paceline_operator.contract.subject import Spec, named
from paceline_operator.errors import UsageError

_PROBE: Final[Mapping[str, Any]] = {"httpGet": {}}
_HOOK: Final[Mapping[str, Any]] = {"preStop": {"exec": {"command": [object]}, "sleep": {"seconds": int}}}
_CONTAINER: Final[Mapping[str, Any]] = {
    "name": str,
    "command": [object],
    "args": [object],
    "env": [{"name": str}],
    "ports": [{"containerPort": int}],
    "volumeMounts": [{"name": str, "mountPath": str}],
    "lifecycle": _HOOK,
    **dict.fromkeys(("startupProbe", "readinessProbe", "livenessProbe"), _PROBE),
}
_POD: Final[Mapping[str, Any]] = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [{"name": str, "configMap": {}, "projected": {"sources": [{"configMap": {}}]}}],
    "terminationGracePeriodSeconds": int,
}
_TEMPLATE: Final = {"metadata": {"annotations": {}}, "spec": _POD}
_WORKLOAD: Final = {
    "metadata": {"name": str},
    "spec": {"template": _TEMPLATE, "volumeClaimTemplates": [{"metadata": {"name": str}}]},
}
_REQUIRED: Final = frozenset({"name", "containerPort", "mountPath"})
_NAMES: Final[Mapping[Any, str]] = {str: "a text", int: "a whole number"}


def check_shape(manifest: Spec) -> None:
    """Nothing of a workload that can be read. Raises UsageError with the path of the first field that cannot."""
    wanted = {"metadata": {"name": str}, "spec": _POD} if manifest.get("kind") == "Pod" else _WORKLOAD
    for problem in _wrong(manifest, wanted, ""):
        raise UsageError(f"{named(manifest)}: {problem}")


def _wrong(item: Any, wanted: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, Mapping):
        yield from _wrong_mapping(item, wanted, path)
    elif isinstance(wanted, list):
        if not isinstance(item, list):
            yield f"{path} is {item!r}: write a list"
            return
        for index, each in enumerate(item):
            yield from _wrong(each, wanted[0], f"{path}[{index}]")
    elif not isinstance(item, wanted) or (wanted is int and isinstance(item, bool)):
        yield f"{path} is {item!r}: write {_NAMES[wanted]}"


def _wrong_mapping(item: Any, wanted: Mapping[str, Any], path: str) -> Iterator[str]:
    if not isinstance(item, Mapping):
        yield f"{path} is {'empty' if item is None else repr(item)}: write a mapping"
        return
    for name, inner in wanted.items():
        at = f"{path}.{name}".removeprefix(".")
        if item.get(name) is not None:
            yield from _wrong(item[name], inner, at)
        elif name in _REQUIRED or (name == "metadata" and not path):
            yield f"{at} is missing"
