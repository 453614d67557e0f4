"""Clauses about a pod's life: who it is, when it is ready, and how long it may take to end."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from paceline_operator.contract.clause import Finding
from paceline_operator.contract.mending import with_variable
from paceline_operator.contract.startline import seconds, setting
from paceline_operator.contract.subject import PORT_NAME, Spec, Subject

DELAY: Final = "PACELINE_TERMINATION_DELAY_SECONDS"
DELAY_SECONDS: Final = 5
"""For load balancers to notice that the pod is not ready any more."""
STOPPING_SECONDS: Final = 20
"""What the processes may take beside delay and requests (serve/deadlines.py of the runtime)."""
KUBERNETES_GRACE_SECONDS: Final = 30
_IDENTITY: Final = {"PACELINE_POD_UID": "metadata.uid", "PACELINE_POD_NAME": "metadata.name"}
_WITHOUT: Final = {
    "PACELINE_POD_UID": "no change can be tried on this pod alone",
    "PACELINE_POD_NAME": "reports and spans call it `local`",
}
_TIMES: Final[Mapping[str, Mapping[str, int]]] = {
    "startupProbe": {"periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 120},
    "readinessProbe": {"periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2},
    "livenessProbe": {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 6},
}
_PATHS: Final = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}

Found = tuple[Sequence[Finding], Subject]


def identity(subject: Subject) -> Found:
    """The pod knows its uid and its name."""
    findings = []
    for name, field in _IDENTITY.items():
        given = setting(subject.container, name)
        if given.value is None and not given.elsewhere:
            findings.append(Finding("identity", name == "PACELINE_POD_UID", f"{name} is not set: {_WITHOUT[name]}"))
            subject = with_variable(subject, name, valueFrom={"fieldRef": {"fieldPath": field}})
    return findings, subject


def probes(subject: Subject) -> Found:
    """The management port says when the pod is ready and alive."""
    findings = []
    for kind, path in _PATHS.items():
        found: Spec | None = subject.container.get(kind)
        if _asks(subject, found, path):
            continue
        findings.append(_about(subject, kind, found))
        times = (found or {}) if found else _TIMES[kind]
        kept = {name: value for name, value in times.items() if name not in ("httpGet", "exec", "tcpSocket", "grpc")}
        subject = subject.with_container(**{kind: {"httpGet": {"path": path, "port": PORT_NAME}, **kept}})
    return findings, subject


def _about(subject: Subject, kind: str, found: Spec | None) -> Finding:
    path = _PATHS[kind]
    if found is None:
        needed = kind == "readinessProbe"
        without = (
            "requests reach a pod before its workers are there" if needed else f"{path} knows of all its processes"
        )
        return Finding("probes", needed, f"no {kind}: {without}")
    if kind == "livenessProbe" and _asks(subject, found, "/readyz"):
        return Finding("probes", True, "livenessProbe asks /readyz: a pod that drains would be killed; ask /livez")
    return Finding("probes", False, f"{kind} does not ask {path} of port {PORT_NAME}, which knows of all processes")


def ending(subject: Subject) -> Found:
    """It stays reachable until load balancers have noticed, and has the time to finish what it works on."""
    findings = []
    if not _hook(subject.container) and setting(subject.container, DELAY) == setting({}, DELAY):
        told = f"{DELAY} is not set: load balancers still send requests to a pod that is ending"
        findings.append(Finding("ending", True, told))
        subject = with_variable(subject, DELAY, value=str(DELAY_SECONDS))
    wanted = _longest(subject.container)
    grace = subject.pod.get("terminationGracePeriodSeconds") or KUBERNETES_GRACE_SECONDS
    if grace < wanted:
        told = (
            f"terminationGracePeriodSeconds is {grace}: requests may take until {wanted} s after the pod is told to end"
        )
        findings.append(Finding("ending", True, told))
        subject = subject.with_pod(terminationGracePeriodSeconds=wanted)
    return findings, subject


def _longest(container: Spec) -> int:
    """Worked example: a delay of 5 s and requests of up to 30 s → 5 + 30 + 20 = 55."""
    keep_alive = seconds(container, "PACELINE_KEEPALIVE_SECONDS", 5.0)
    requests = max(seconds(container, "PACELINE_GRACEFUL_TIMEOUT_SECONDS", 30.0), keep_alive + 1)
    return math.ceil(_hook_seconds(container) + seconds(container, DELAY, 0.0) + requests + STOPPING_SECONDS)


def _hook(container: Spec) -> Mapping[str, Any]:
    return (container.get("lifecycle") or {}).get("preStop") or {}


def _hook_seconds(container: Spec) -> int:
    hook = _hook(container)
    said = re.search(r"sleep (\d+)", " ".join(map(str, (hook.get("exec") or {}).get("command") or ())))
    return int((hook.get("sleep") or {}).get("seconds") or (said.group(1) if said else 0))


def _asks(subject: Subject, probe: Spec | None, path: str) -> bool:
    asked = (probe or {}).get("httpGet") or {}
    ports = {
        str(each.get("containerPort")) for each in subject.container.get("ports") or () if each.get("name") == PORT_NAME
    }
    return asked.get("path") == path and str(asked.get("port")) in {PORT_NAME, *ports}
