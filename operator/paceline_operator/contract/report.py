"""What a person reads of an inspection, and what kubectl reads: lines, a patch, a manifest."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import yaml

from paceline_operator.contract.inspected import Inspected
from paceline_operator.contract.patch import form_for, patch_between

Shown = Literal["report", "patch", "manifest"]
_SET_BY_THE_CLUSTER: Final = ("managedFields", "uid", "resourceVersion", "generation", "creationTimestamp")


def rendered(found: Inspected, shown: Shown) -> str:
    """In one of three forms; empty where the workload lacks nothing, but for its manifest."""
    if shown == "manifest":
        return _yaml(_as_applied(found.mended))
    if shown == "patch":
        patch = _patch(found)
        return _yaml(patch) if patch else ""
    return "\n".join(_report(found)) + "\n" if found.findings else ""


def command_of(found: Inspected) -> str:
    """The kubectl command that takes the patch from its standard input."""
    subject = found.subject
    where = f" --namespace {subject.namespace}" if subject.namespace else ""
    group = str(subject.manifest.get("apiVersion", "")).rpartition("/")[0]
    kind = subject.kind.lower() if group in ("", "apps") else f"{subject.kind.lower()}s.{group}"
    form = form_for(subject.manifest)
    return f"kubectl patch {kind} {subject.name}{where} --type {form} --patch-file /dev/stdin"


def _report(found: Inspected) -> Iterator[str]:
    subject = found.subject
    where = f" in {subject.namespace}" if subject.namespace else ""
    yield f"{subject.kind} {subject.name}{where}, container {subject.container.get('name')}"
    for finding in found.findings:
        by_hand = " (by hand)" if finding.by_hand else ""
        yield f"{'needed' if finding.needed else 'better'}  {finding.clause:<10}  {finding.message}{by_hand}"
    if patch := _patch(found):
        yield ""
        yield f"{command_of(found)} <<'EOF'"
        yield f"{_yaml(patch)}EOF"


def _patch(found: Inspected) -> Mapping[str, Any]:
    return patch_between(found.subject.manifest, found.mended, form_for(found.subject.manifest))


def _as_applied(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the cluster has added, which `kubectl apply` would take for a person's wish."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _SET_BY_THE_CLUSTER}
    return {**{name: value for name, value in manifest.items() if name != "status"}, "metadata": metadata}


def _yaml(item: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(item), sort_keys=False, allow_unicode=True, width=120)
    return text
