"""Clauses about what is mounted: the tuning document, and the folder between the pod's processes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from paceline_operator.contract.clause import Finding
from paceline_operator.contract.mending import free_name, is_below, volume_at, with_mount, with_variable, with_volume
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
    document = subject.document
    path = _path_in_force(subject)
    mount, volume = volume_at(subject, path)
    lacks = _lacks(document, mount, volume)
    findings = [Finding("tuning", True, lacks)] if lacks else []
    folder = str(PurePosixPath(path).parent)
    if lacks:
        name = free_name(subject, "tuning") if not _is_replaceable(volume) else str((volume or {})["name"])
        subject = with_volume(subject, name, configMap={"name": document, "optional": True})
        subject = with_mount(subject, folder, name, readOnly=True)
    given = setting(subject.container, TUNING_FILE)
    if given.value == path or given.elsewhere:
        return findings, subject
    told = f"{TUNING_FILE} is {given.value or 'not set'}: without it the pod keeps its start values; write {path}"
    findings.append(Finding("tuning", True, told))
    return findings, with_variable(subject, TUNING_FILE, value=path)


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
    return (Finding("run", True, told),), _with_run_folder(subject)


def _with_run_folder(subject: Subject) -> Subject:
    mount, volume = volume_at(subject, _RUN_FOLDER)
    if "emptyDir" not in (volume or {}) or mount is None or mount["mountPath"] != _RUN_FOLDER:
        name = free_name(subject, "run")
        subject = with_mount(with_volume(subject, name, emptyDir=_IN_MEMORY), _RUN_FOLDER, name)
    return with_variable(subject, RUN_DIR, value=f"{_RUN_FOLDER}/pod")


def _path_in_force(subject: Subject) -> str:
    given = setting(subject.container, TUNING_FILE).value
    if given and PurePosixPath(given).is_absolute() and PurePosixPath(given).name == DOCUMENT_FILE:
        return given
    return f"{_TUNING_FOLDER}/{DOCUMENT_FILE}"


def _lacks(document: str, mount: Mapping[str, Any] | None, volume: Mapping[str, Any] | None) -> str | None:
    if mount is None or volume is None:
        return f"ConfigMap {document} is not mounted: the pod never sees its values"
    sources = {str(source.get("name")): source for source in _config_maps(volume)}
    if document not in sources:
        mounted = f"ConfigMap {', '.join(sources)}" if sources else f"volume {volume.get('name')}"
        return f"{mounted} is mounted, and the tuning document of this workload is ConfigMap {document}"
    if mount.get("subPath") or mount.get("subPathExpr"):
        return f"ConfigMap {document} is mounted by subPath, and never updated: mount the folder"
    if not sources[document].get("optional"):
        return f"ConfigMap {document} is not optional: no pod starts before the operator has written it"
    return None


def _config_maps(volume: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
        if source.get("configMap"):
            yield source["configMap"]


def _is_replaceable(volume: Mapping[str, Any] | None) -> bool:
    """A volume that was meant for a tuning document, and for nothing else."""
    return "tuning" in str(((volume or {}).get("configMap") or {}).get("name"))
