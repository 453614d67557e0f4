"""Entries put into a pod: variables, ports, volumes and mounts, each under a name or a path that is taken once."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from paceline_operator.contract.subject import Spec, Subject


def with_variable(subject: Subject, name: str, **entry: Any) -> Subject:
    """The variable, in place of one with its name."""
    return subject.with_container(env=replaced(subject.container.get("env"), "name", {"name": name, **entry}))


def with_port(subject: Subject, name: str, number: int) -> Subject:
    """The port, in place of one with its number; its protocol stays."""
    ports = subject.container.get("ports")
    former: Spec = next((port for port in ports or () if port.get("containerPort") == number), {})
    return subject.with_container(
        ports=replaced(ports, "containerPort", {**former, "name": name, "containerPort": number})
    )


def with_volume(subject: Subject, name: str, **source: Any) -> Subject:
    """The volume, in place of one with its name."""
    return subject.with_pod(volumes=replaced(subject.pod.get("volumes"), "name", {"name": name, **source}))


def with_mount(subject: Subject, path: str, volume: str, **entry: Any) -> Subject:
    """The volume as a folder at a path, without the mounts that were there or below: they would hide it."""
    mounts = [each for each in subject.container.get("volumeMounts") or () if not is_below(each.get("mountPath"), path)]
    mount = {"name": volume, "mountPath": path, **entry}
    return subject.with_container(volumeMounts=replaced(mounts, "mountPath", mount))


def replaced(entries: Sequence[Spec] | None, key: str, entry: Spec) -> list[Spec]:
    """The list with the entry in the place of the one with the same key, else at its end."""
    found = list(entries or ())
    for index, each in enumerate(found):
        if each.get(key) == entry[key]:
            return [*found[:index], entry, *found[index + 1 :]]
    return [*found, entry]


def free_name(subject: Subject, wish: str) -> str:
    """A name for a volume that none has."""
    taken = {volume.get("name") for volume in subject.pod.get("volumes") or ()}
    return wish if wish not in taken else f"paceline-{wish}"


def volume_at(subject: Subject, path: str) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The mount that a path lies in, the nearest, and its volume."""
    mounts = [each for each in subject.container.get("volumeMounts") or () if _holds(each.get("mountPath"), path)]
    if not mounts:
        return None, None
    mount = max(mounts, key=lambda each: len(str(each["mountPath"])))
    volumes = (each for each in subject.pod.get("volumes") or () if each.get("name") == mount.get("name"))
    return mount, next(volumes, None)


def is_below(path: object, folder: str) -> bool:
    """Whether a path lies in a folder and is not the folder itself."""
    return PurePosixPath(folder) in PurePosixPath(str(path)).parents


def _holds(folder: object, path: str) -> bool:
    return PurePosixPath(str(folder)) == PurePosixPath(path) or is_below(path, str(folder))
