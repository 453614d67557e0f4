"""A workload's pod, found in its manifest: the pod's spec, and the container that serves. Copies, never changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from paceline_operator.contract.commands import shown_to_serve
from paceline_operator.errors import UsageError

PORT_NAME: Final = "paceline"
_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"

Spec = Mapping[str, Any]
Step = tuple[str, int]
"""A list of containers, and which of it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One workload, read for the contract."""

    manifest: Spec
    path: tuple[str, ...]
    """Where the manifest has the pod's spec: `spec.template.spec`, or `spec` of a bare Pod."""
    step: Step
    target: str | None = None
    """Whose document its pods mount, where that is another's: of a Pod, or of what lends its template to a Rollout."""
    fallback_namespace: str | None = None
    """Where it will be, when its manifest does not say."""

    @property
    def document(self) -> str:
        """The ConfigMap that holds the tuning document."""
        return f"{self.target or self.name}-tuning"

    @property
    def kind(self) -> str:
        return str(self.manifest.get("kind"))

    @property
    def name(self) -> str:
        return str((self.manifest.get("metadata") or {}).get("name") or "")

    @property
    def namespace(self) -> str | None:
        """None where neither the manifest nor who asked names one."""
        return (self.manifest.get("metadata") or {}).get("namespace") or self.fallback_namespace

    @property
    def pod(self) -> Spec:
        """The pod's spec."""
        return _at(self.manifest, self.path)

    @property
    def container(self) -> Spec:
        """The one that serves."""
        found: Spec = self.pod[self.step[0]][self.step[1]]
        return found

    def with_pod(self, **fields: Any) -> "Subject":
        """With other fields of the pod's spec."""
        return replace(self, manifest=_put(self.manifest, self.path, {**self.pod, **fields}))

    def with_container(self, **fields: Any) -> "Subject":
        """With other fields of the container; None takes one away."""
        changed = {name: value for name, value in {**self.container, **fields}.items() if value is not None}
        others = list(self.pod[self.step[0]])
        others[self.step[1]] = changed
        return self.with_pod(**{self.step[0]: others})


def read_subject(manifest: Spec, container: str | None = None, target: str | None = None) -> Subject:
    """The workload of a manifest.

    Args:
        container: the name of the one that serves; else it is found by its port, then by its command.
        target: whose tuning document its pods mount, where that is not the manifest's own.

    Raises:
        UsageError: the manifest has no pod, or no such container.
    """
    path = ("spec",) if manifest.get("kind") == "Pod" else ("spec", "template", "spec")
    pod = _at(manifest, path)
    steps = list(running(pod))
    if not steps:
        raise UsageError(f"{named(manifest)} has no pod template with containers: name a Deployment or a StatefulSet")
    template = manifest if len(path) == 1 else manifest["spec"]["template"]
    return Subject(manifest, path, _chosen(manifest, template, pod, steps, container), target)


def running(pod: Spec) -> Iterator[Step]:
    """The containers that run as long as the pod: all but init containers that end."""
    yield from (("containers", index) for index, _ in enumerate(pod.get("containers") or ()))
    for index, each in enumerate(pod.get("initContainers") or ()):
        if each.get("restartPolicy") == "Always":
            yield "initContainers", index


def named(manifest: Spec) -> str:
    """`Deployment shop`, for messages."""
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return f"{manifest.get('kind') or 'an object'} {name or 'without a name'}"


def words(container: Spec) -> Sequence[str]:
    """Its command line, as far as the manifest gives one."""
    return [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]


def _chosen(manifest: Spec, template: Spec, pod: Spec, steps: Sequence[Step], container: str | None) -> Step:
    of = {step: pod[step[0]][step[1]] for step in steps}
    if container is not None:
        found = [step for step in steps if of[step].get("name") == container]
        if not found:
            names = ", ".join(str(each.get("name")) for each in of.values())
            raise UsageError(f"{named(manifest)} has no container {container}: it has {names}")
        return found[0]
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    signs = (
        lambda each: any(port.get("name") == PORT_NAME for port in each.get("ports") or ()),
        lambda each: shown_to_serve(words(each)) is not None,
        lambda each: each.get("name") == annotations.get(_DEFAULT_CONTAINER, ""),
    )
    return next((step for sign in signs for step in steps if sign(of[step])), steps[0])


def _at(item: Any, path: Sequence[str]) -> Spec:
    for name in path:
        item = item.get(name) if isinstance(item, Mapping) else None
    return item if isinstance(item, Mapping) else {}


def _put(item: Spec, path: Sequence[str], value: Any) -> Spec:
    first, *rest = path
    return {**item, first: _put(item[first], rest, value) if rest else value}
