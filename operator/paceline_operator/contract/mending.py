"""Entries put into a pod: variables, ports, volumes and mounts, each under a name or a path that is taken once."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, count
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
    """The volume as a folder at a path, in place of what is mounted there: see `in_the_way`."""
    mounts = [each for each in _mounts(subject) if each.get("mountPath") == path or not is_at(each, path)]
    mounts = [each for each in mounts if not is_below(each.get("mountPath"), path)]
    mount = {"name": volume, "mountPath": path, **entry}
    return subject.with_container(volumeMounts=replaced(mounts, "mountPath", mount))


def without_single_file(subject: Subject, path: str | None, meant: Callable[[Spec | None], bool]) -> Subject:
    """Without the mount by subPath that is the file at a path, where its volume was meant for it."""
    mount, volume = volume_at(subject, path) if path else (None, None)
    if mount is None or not is_part(mount) or not meant(volume):
        return subject
    return subject.with_container(volumeMounts=[each for each in _mounts(subject) if each is not mount])


def in_the_way(subject: Subject, folder: str, meant: Callable[[Spec | None], bool]) -> str | None:
    """The mount of another volume that one at the folder would replace, hide, or find no place in."""
    found = {str(volume["name"]): volume for volume in volumes(subject)}
    for each in _mounts(subject):
        at, volume = str(each.get("mountPath")), found.get(str(each.get("name")))
        inside = is_at(each, folder) or is_below(at, folder)
        if inside and not meant(volume):
            return f"volume {each.get('name')} at {at}"
        # Below a folder that can be written to, kubelet makes the place for a mount by itself.
        if is_below(folder, at) and ("emptyDir" not in (volume or {}) or each.get("readOnly")):
            return f"volume {each.get('name')} at {at}"
    return None


def replaced(entries: Sequence[Spec] | None, key: str, entry: Spec) -> list[Spec]:
    """The list with the entry in the place of the one with the same key, else at its end."""
    found = list(entries or ())
    for index, each in enumerate(found):
        if each.get(key) == entry[key]:
            return [*found[:index], entry, *found[index + 1 :]]
    return [*found, entry]


def free_name(subject: Subject, wish: str) -> str:
    """A name for a volume that none has."""
    taken = {volume.get("name") for volume in volumes(subject)}
    names = chain((wish, f"paceline-{wish}"), (f"paceline-{wish}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def volumes(subject: Subject) -> Sequence[Spec]:
    """Its volumes, those that a StatefulSet claims for each pod included."""
    claims = (subject.manifest.get("spec") or {}).get("volumeClaimTemplates") or ()
    names = (str((each.get("metadata") or {}).get("name")) for each in claims)
    return [*(subject.pod.get("volumes") or ()), *({"name": name, "persistentVolumeClaim": {}} for name in names)]


def volume_at(subject: Subject, path: str) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The mount that a path lies in, the nearest, and its volume."""
    mounts = [each for each in _mounts(subject) if _holds(each.get("mountPath"), path)]
    if not mounts:
        return None, None
    mount = max(mounts, key=lambda each: len(str(each["mountPath"])))
    return mount, next((each for each in volumes(subject) if each.get("name") == mount.get("name")), None)


def is_at(mount: Mapping[str, Any], folder: str) -> bool:
    """Whether it is mounted there, however the path is written (`/config/`)."""
    return PurePosixPath(str(mount.get("mountPath"))) == PurePosixPath(folder)


def is_part(mount: Mapping[str, Any]) -> bool:
    """Whether it is one path of the volume, which kubelet never updates."""
    return bool(mount.get("subPath") or mount.get("subPathExpr"))


def is_below(path: object, folder: str) -> bool:
    """Whether a path lies in a folder and is not the folder itself."""
    return PurePosixPath(folder) in PurePosixPath(str(path)).parents


def _holds(folder: object, path: str) -> bool:
    return PurePosixPath(str(folder)) == PurePosixPath(path) or is_below(path, str(folder))


def _mounts(subject: Subject) -> Sequence[Spec]:
    return subject.container.get("volumeMounts") or ()
