"""What makes one manifest of another, in the two forms that kubectl and Kustomize take. Pure.

| form | for | lists |
| --- | --- | --- |
| strategic | the cluster's own kinds | entries are found by name, what a patch does not name stays |
| merge (RFC 7386) | custom resources, such as Argo Rollouts | whole |
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

Form = Literal["strategic", "merge"]
_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
}
"""What entries of a list are found by."""
_OWN_GROUPS: Final = frozenset({"", "apps", "batch"})


def form_for(manifest: Mapping[str, Any]) -> Form:
    """Custom resources take no strategic merge patch."""
    group = str(manifest.get("apiVersion", "")).rpartition("/")[0]
    return "strategic" if group in _OWN_GROUPS else "merge"


def patch_between(before: Mapping[str, Any], after: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """The smallest patch; empty where they are the same."""
    patch: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        former = before.get(name)
        if name not in before:
            patch[name] = value
        elif former != value:
            patch[name] = _between(name, former, value, form)
    return patch


def _between(name: str, before: Any, after: Any, form: Form) -> Any:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return patch_between(before, after, form)
    key = _KEYS.get(name)
    if form == "strategic" and key and isinstance(before, list) and isinstance(after, list):
        return _entries_between(key, before, after, form)
    return after


def _entries_between(
    key: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], form: Form
) -> list[dict[str, Any]]:
    known = {entry[key]: entry for entry in before}
    kept = {entry[key] for entry in after}
    changed = (
        {key: entry[key], **patch_between(known.get(entry[key], {}), entry, form)}
        for entry in after
        if known.get(entry[key]) != entry
    )
    gone = ({"$patch": "delete", key: name} for name in known if name not in kept)
    return [*changed, *gone]
