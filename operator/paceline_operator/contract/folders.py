"""Clauses about what is mounted: the tuning document, and the folder between the pod's processes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from paceline_operator.contract.clause import Finding
from paceline_operator.contract.mending import (
    free_name,
    in_the_way,
    is_at,
    is_below,
    is_part,
    volume_at,
    volumes,
    with_mount,
    with_variable,
    with_volume,
    without_single_file,
)
from paceline_operator.contract.startline import setting
from paceline_operator.contract.subject import Subject

TUNING_FILE: Final = "PACELINE_TUNING_FILE"
RUN_DIR: Final = "PACELINE_RUN_DIR"
DOCUMENT_FILE: Final = "tuning.json"
_TUNING_FOLDER: Final = "/etc/paceline/tuning"
_RUN_FOLDER: Final = "/run/paceline"
_IN_MEMORY: Final = {"medium": "Memory", "sizeLimit": "64Mi"}

Found = tuple[Sequence[Finding], Subject]


def tuning(subject: Subject) -> Found:
    """The tuning document is mounted: as a folder, since kubelet never updates a single file, and optional."""
    given = setting(subject.container, TUNING_FILE)
    path = given.value if given.value and _is_tuning_file(subject, given.value) else f"{_TUNING_FOLDER}/{DOCUMENT_FILE}"
    folder = str(PurePosixPath(path).parent)
    mount, volume = volume_at(subject, given.value or path)
    lacks = _lacks(subject.document, mount, volume) or _lacks(subject.document, *volume_at(subject, path))
    findings = []
    if lacks and (other := in_the_way(subject, folder, _is_replaceable)):
        findings.append(Finding("tuning", True, f"{lacks}; {other} leaves no place for it at {folder}", by_hand=True))
    elif lacks:
        findings.append(Finding("tuning", True, lacks))
        subject = _with_document(without_single_file(subject, given.value, _is_replaceable), folder)
    if given.value == path or given.elsewhere:
        return findings, subject
    if given.flag is not None:
        told = f"{given.flag} is {given.value}, in no folder that is the tuning document alone; write {path}"
        return [*findings, Finding("tuning", True, told, by_hand=True)], subject
    told = f"{TUNING_FILE} is {given.value or 'not set'}: without it the pod keeps its start values; write {path}"
    findings.append(Finding("tuning", True, told))
    return findings, with_variable(subject, TUNING_FILE, value=path)


def _with_document(subject: Subject, folder: str) -> Subject:
    mount, volume = volume_at(subject, folder)
    if mount is not None and is_at(mount, folder) and _is_replaceable(volume):
        name = str(mount["name"])
    else:
        holding = (each for each in volumes(subject) if (each.get("configMap") or {}).get("name") == subject.document)
        name = str(next(holding, {"name": free_name(subject, "tuning")})["name"])
    subject = with_volume(subject, name, configMap={"name": subject.document, "optional": True})
    return with_mount(subject, folder, name, readOnly=True)


def run_folder(subject: Subject) -> Found:
    """A folder inside an emptyDir: what is in it outlives a container, and no pod finds another's."""
    given = setting(subject.container, RUN_DIR)
    if given.elsewhere:
        return (), subject
    mount, volume = volume_at(subject, given.value) if given.value else (None, None)
    if mount is not None and "emptyDir" in (volume or {}) and is_below(given.value, str(mount["mountPath"])):
        return (), subject
    is_now = f"{given.value}, which is no folder inside an emptyDir" if given.value else "not set"
    told = f"{RUN_DIR} is {is_now}: after a crash the pod would not know what it ran"
    if given.flag is not None:
        return (Finding("run", True, f"{told}; correct {given.flag}", by_hand=True),), subject
    if other := in_the_way(subject, _RUN_FOLDER, _is_empty):
        return (Finding("run", True, f"{told}; {other} leaves no place at {_RUN_FOLDER}", by_hand=True),), subject
    return (Finding("run", True, told),), _with_run_folder(subject)


def _with_run_folder(subject: Subject) -> Subject:
    mount, volume = volume_at(subject, _RUN_FOLDER)
    if "emptyDir" not in (volume or {}) or mount is None or not is_at(mount, _RUN_FOLDER):
        name = free_name(subject, "run")
        subject = with_mount(with_volume(subject, name, emptyDir=_IN_MEMORY), _RUN_FOLDER, name)
    return with_variable(subject, RUN_DIR, value=f"{_RUN_FOLDER}/pod")


def _is_tuning_file(subject: Subject, path: str) -> bool:
    """Whether it lies in a folder that was given to Paceline: nothing may be mounted over any other."""
    file = PurePosixPath(path)
    mount, volume = volume_at(subject, path)
    if mount is None or not file.is_absolute() or file.name != DOCUMENT_FILE or is_part(mount):
        return False
    ours = _is_replaceable(volume) or subject.document in (str(each.get("name")) for each in _config_maps(volume or {}))
    return ours and is_at(mount, str(file.parent))


def _lacks(document: str, mount: Mapping[str, Any] | None, volume: Mapping[str, Any] | None) -> str | None:
    if mount is None or volume is None:
        return f"ConfigMap {document} is not mounted: the pod never sees its values"
    sources = {str(source.get("name")): source for source in _config_maps(volume)}
    if document not in sources:
        mounted = f"ConfigMap {', '.join(sources)}" if sources else f"volume {volume.get('name')}"
        return f"{mounted} is mounted, and the tuning document of this workload is ConfigMap {document}"
    if is_part(mount):
        return f"ConfigMap {document} is mounted by subPath, and never updated: mount the folder"
    if not sources[document].get("optional"):
        return f"ConfigMap {document} is not optional: no pod starts before the operator has written it"
    return None


def _config_maps(volume: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
        if source.get("configMap"):
            yield source["configMap"]


def _is_replaceable(volume: Mapping[str, Any] | None) -> bool:
    """A volume that was meant for a tuning document, and for nothing else; or a mount of none."""
    return volume is None or str((volume.get("configMap") or {}).get("name")).endswith("-tuning")


def _is_empty(volume: Mapping[str, Any] | None) -> bool:
    return volume is None or "emptyDir" in volume
