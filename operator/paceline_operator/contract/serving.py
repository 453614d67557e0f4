"""Clauses about what listens: the command, the port named `paceline`, the two addresses."""

from collections.abc import Sequence
from typing import Final

from paceline_operator.contract.clause import Finding
from paceline_operator.contract.mending import with_port, with_variable
from paceline_operator.contract.startline import (
    other_server,
    says_where_to_listen,
    serves,
    setting,
    under_paceline,
)
from paceline_operator.contract.subject import PORT_NAME, Subject, running

MANAGEMENT_BIND: Final = "PACELINE_MANAGEMENT_BIND"
_FIRST_PORT: Final = 9090
_LOOPBACK: Final = ("127.", "localhost", "[::1]", "::1")
_APPLICATION_PORT: Final = 8000

Found = tuple[Sequence[Finding], Subject]


def command(subject: Subject) -> Found:
    """`paceline serve` runs in it."""
    container = subject.container
    runs = serves(container)
    if runs:
        return (), subject
    if runs is None:
        if _named_port(subject) is not None:
            return (), subject  # somebody has prepared the image
        told = "the manifest does not show what runs: let the image's command, or its script, end in "
        told += "`exec paceline serve MODULE:APP`"
        return (Finding("command", True, told, by_hand=True),), subject
    server = other_server(container)
    told = f"{server} serves: write `paceline serve` in its place, and install paceline[service] in the image"
    fields = under_paceline(container)
    if fields is None:
        told += "; the command starts more than one server"
        return (Finding("command", True, told, by_hand=True),), subject
    return (Finding("command", True, told),), subject.with_container(**fields)


def port(subject: Subject) -> Found:
    """The operator finds `/state` by the port's name, whatever its number."""
    if _named_port(subject) is not None:
        return (), subject
    number = _listened_to(subject) or _free_port(subject)
    told = f"no port is named {PORT_NAME}: the operator cannot ask the pod"
    return (Finding("port", True, told),), with_port(subject, PORT_NAME, number)


def management(subject: Subject) -> Found:
    """The management port is open to operator and kubelet, on the number that the pod declares."""
    number = _named_port(subject) or _FIRST_PORT
    given = setting(subject.container, MANAGEMENT_BIND)
    if given.elsewhere or _listened_to(subject) == number:
        return (), subject
    wanted = f"0.0.0.0:{number}"
    if given.flag is not None:
        told = f"{given.flag} is {given.value}: write {wanted}, so that operator and kubelet reach port {PORT_NAME}"
        return (Finding("management", True, told, by_hand=True),), subject
    is_now = given.value or "127.0.0.1:9090 by default"
    told = f"{MANAGEMENT_BIND} is {is_now}: operator and kubelet reach {wanted}"
    return (Finding("management", True, told),), with_variable(subject, MANAGEMENT_BIND, value=wanted)


def address(subject: Subject) -> Found:
    """The application listens to more than its own container."""
    if says_where_to_listen(subject.container):
        return (), subject
    declared = (each["containerPort"] for each in subject.container.get("ports") or () if each.get("name") != PORT_NAME)
    wanted = f"0.0.0.0:{next(declared, _APPLICATION_PORT)}"
    told = "PACELINE_BIND is 127.0.0.1:8000 by default: nobody outside of the pod reaches the application"
    return (Finding("address", True, told),), with_variable(subject, "PACELINE_BIND", value=wanted)


def _named_port(subject: Subject) -> int | None:
    for each in subject.container.get("ports") or ():
        if each.get("name") == PORT_NAME:
            return int(each["containerPort"])
    return None


def _listened_to(subject: Subject) -> int | None:
    """The management port that others reach; None where nobody does."""
    host, _, number = (setting(subject.container, MANAGEMENT_BIND).value or "").rpartition(":")
    return int(number) if number.isdecimal() and not host.startswith(_LOOPBACK) else None


def _free_port(subject: Subject) -> int:
    pods = (subject.pod[kind][index] for kind, index in running(subject.pod))
    taken = {each.get("containerPort") for container in pods for each in container.get("ports") or ()}
    return next(number for number in range(_FIRST_PORT, 65536) if number not in taken)
