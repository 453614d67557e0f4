"""Kubernetes objects as the loop's values. Pure: JSON in, frozen values out."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from paceline_operator.cluster.troubles import config_maps_of, trouble_of
from paceline_operator.contract.subject import PORT_NAME, running
from paceline_operator.core.situation.situation import Ended
from paceline_operator.ports import Pod, PolicyKey, PolicyResource, StoredCheckpoint

_PAST_DEADLINE: Final = "ProgressDeadlineExceeded"
_REVISIONS: Final = ("pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash")
"""Labels of pods that say which template they were made of."""
_FINISHED: Final = ("Succeeded", "Failed")  # an evicted pod stays in the list for days


def read_policy(item: Mapping[str, Any]) -> PolicyResource:
    """A TuningPolicy as the API server shows it."""
    metadata = item["metadata"]
    return PolicyResource(
        key=PolicyKey(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        resource_version=metadata["resourceVersion"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        spec=item.get("spec", {}),
        status=item.get("status", {}),
        annotations=read_annotations(item),
        deleting="deletionTimestamp" in metadata,
    )


def read_checkpoint(item: Mapping[str, Any], owner: str) -> StoredCheckpoint:
    """A TuningCheckpoint; it is foreign unless the policy with the uid `owner` owns it."""
    metadata = item["metadata"]
    owners = {reference.get("uid") for reference in metadata.get("ownerReferences") or ()}
    return StoredCheckpoint(item, metadata["resourceVersion"], foreign=owner not in owners)


def read_annotations(item: Mapping[str, Any]) -> Mapping[str, str]:
    """Of any object."""
    return item["metadata"].get("annotations") or {}


def living(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The pods that have not ended for good."""
    return [item for item in items if item.get("status", {}).get("phase") not in _FINISHED]


def read_pods(items: Sequence[Mapping[str, Any]]) -> tuple[Pod, ...]:
    """The pods that exist as processes, by name."""
    return tuple(sorted((_read_pod(item) for item in living(items)), key=lambda pod: pod.name))


def _read_pod(item: Mapping[str, Any]) -> Pod:
    metadata, status = item["metadata"], item.get("status", {})
    container, port = _paceline_port([item["spec"][kind][index] for kind, index in running(item["spec"])])
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        state_url=_state_url(status.get("podIP"), port),
        ready=any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ())),
        terminating="deletionTimestamp" in metadata,
        ended=tuple(ended for one in _statuses(status, container) if (ended := _ended(one)) is not None),
        trouble=trouble_of(item),
        documents=config_maps_of(item, container),
    )


def _statuses(status: Mapping[str, Any], container: str | None) -> list[Mapping[str, Any]]:
    """Of the tuned process, of which a sidecar's restart says nothing; of all containers where none is known."""
    if container is None:
        return list(status.get("containerStatuses", ()))
    every = (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ()))
    return [one for one in every if one["name"] == container]


def _paceline_port(containers: Sequence[Mapping[str, Any]]) -> tuple[str | None, int | None]:
    for container in containers:
        for port in container.get("ports", ()):
            if port.get("name") == PORT_NAME:
                return container["name"], port["containerPort"]
    return None, None


def _state_url(address: str | None, port: int | None) -> str | None:
    if not address or port is None:
        return None
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}/state"


def _ended(status: Mapping[str, Any]) -> Ended | None:
    """The last end of a container; None where it has never ended, or nobody says when."""
    states = (((status.get(state) or {}).get("terminated") or {}) for state in ("state", "lastState"))
    ends = {time: state for state in states if (time := _time(state.get("finishedAt"))) is not None}
    if not ends:
        return None
    last = max(ends)
    killed = ends[last].get("reason") == "OOMKilled"
    return Ended(status["name"], last, max(1, int(status.get("restartCount", 0))), killed)


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else None


def is_rolling_out(item: Mapping[str, Any]) -> bool:
    """Whether pods of more than one template may be running, so that their figures must not be compared.

    A Deployment as `kubectl rollout status` sees it, without the wait for availability: a crashing pod is no rollout.
    Nor is one that stands: pods are as they are for as long as nobody does anything, and are told apart by
    `template_digest`.

    | object | rolling out while |
    | --- | --- |
    | any | its controller has not seen the newest spec |
    | Deployment | old pods are left, or updated < wanted and no quota refuses more; not paused, nor past its deadline |
    | StatefulSet | updated < wanted less `partition`, unless `OnDelete`: then pods are replaced when somebody says so |
    | Rollout (Argo) | the stable pods are not those of the newest template; not paused |
    """
    status, spec = item.get("status", {}), item.get("spec", {})
    if item["kind"] == "Deployment":
        updated = status.get("updatedReplicas", 0)
        missing = updated < spec.get("replicas", 1) and not _refused(status)
        if not stands(item) and (missing or status.get("replicas", 0) > updated):
            return True
    if item["kind"] == "StatefulSet" and _stateful_set_rolls(status, spec):
        return True
    if item["kind"] == "Rollout" and status.get("stableRS") and status["stableRS"] != status.get("currentPodHash"):
        return not stands(item)
    seen = status.get("observedGeneration")
    # Some kinds write the number as text.
    return seen is not None and str(seen).isdigit() and int(seen) < item["metadata"].get("generation", 0)


def _refused(status: Mapping[str, Any]) -> bool:
    """Whether pods are refused that are wanted. While it only grows, a Deployment has no deadline that would pass."""
    conditions = status.get("conditions") or ()
    return any(one.get("type") == "ReplicaFailure" and one.get("status") == "True" for one in conditions)


def _stateful_set_rolls(status: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete" or status.get("currentRevision") == status.get("updateRevision"):
        return False
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    return bool(status.get("updatedReplicas", 0) < spec.get("replicas", 1) - partition)


def stands(item: Mapping[str, Any]) -> bool:
    """Whether pods of several templates may run side by side for as long as nobody does anything about it."""
    status, spec = item.get("status", {}), item.get("spec", {})
    match item.get("kind"):
        case "Deployment":
            progress = (one for one in status.get("conditions") or () if one.get("type") == "Progressing")
            return bool(spec.get("paused")) or any(one.get("reason") == _PAST_DEADLINE for one in progress)
        case "StatefulSet":
            strategy = spec.get("updateStrategy") or {}
            return strategy.get("type") == "OnDelete" or bool((strategy.get("rollingUpdate") or {}).get("partition"))
        case "Rollout":
            return bool(spec.get("paused")) or status.get("phase") == "Paused"
    return False


def template_digest(item: Mapping[str, Any], pods: Sequence[Mapping[str, Any]] = ()) -> str:
    """Twelve hex digits that change with the template of the pods that run: with that of the target or, where it stands
    between two or names none, with the revisions that the pods carry as labels. Empty where nobody says.

    Worked example: 3 pods of a StatefulSet with `OnDelete` stay what they are when its template changes; each of them
    that is deleted and comes back makes it another digest, as do more of them by a quarter of all in a large one.
    """
    template, revisions = item.get("spec", {}).get("template"), _revisions(pods)
    if revisions and (stands(item) or not template):
        return _digest(revisions)
    return _digest(template) if template else ""


def _revisions(pods: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Those of the pods; with the quarters of the pods that have each where there are several, so that what an
    autoscaler adds or takes is no deploy: 1 of 6 is one quarter, and so is 2 of 9."""
    labels = (pod["metadata"].get("labels") or {} for pod in pods)
    found = Counter(next((each[name] for name in _REVISIONS if each.get(name)), "") for each in labels)
    found.pop("", None)
    quarters = {name: round(4 * count / found.total()) for name, count in found.items()}
    return sorted(quarters.items()) if len(found) > 1 else sorted(found)


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
