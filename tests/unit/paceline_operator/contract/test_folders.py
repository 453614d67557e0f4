"""What the patch mounts, and what it never mounts over."""

from typing import Any

import pytest
from foreign import app_of, foreign
from paceline_operator.contract.inspected import Inspected, inspected
from paceline_operator.contract.subject import read_subject


def found(volumes: list[dict[str, Any]], mounts: list[dict[str, Any]], **variables: str) -> Inspected:
    manifest = foreign(volumeMounts=mounts, env=[{"name": name, "value": value} for name, value in variables.items()])
    manifest["spec"]["template"]["spec"]["volumes"] = volumes
    return inspected(read_subject(manifest, "app"))


def mounted(result: Inspected) -> dict[str, str]:
    return {each["mountPath"]: each["name"] for each in app_of(result.mended)["volumeMounts"]}


def variable(result: Inspected, name: str) -> str:
    return str({each["name"]: each.get("value") for each in app_of(result.mended)["env"]}[name])


def by_hand(result: Inspected) -> list[str]:
    return [each.clause for each in result.findings if each.by_hand]


DOCUMENT = {"name": "doc", "configMap": {"name": "shop-tuning", "optional": True}}


@pytest.mark.invariant
def test_a_single_file_among_the_application_s_gives_way_to_a_folder_of_its_own() -> None:
    single = {"name": "doc", "mountPath": "/app/tuning.json", "subPath": "tuning.json"}
    result = found([DOCUMENT], [single], PACELINE_TUNING_FILE="/app/tuning.json")

    assert mounted(result) == {"/etc/paceline/tuning": "doc", "/run/paceline": "run"}
    assert variable(result, "PACELINE_TUNING_FILE") == "/etc/paceline/tuning/tuning.json"
    assert by_hand(result) == []
    assert "mounted by subPath" in " ".join(each.message for each in result.findings)
    assert inspected(read_subject(result.mended, "app")).findings == ()


@pytest.mark.invariant
def test_nothing_is_mounted_over_a_folder_that_nobody_gave_to_paceline() -> None:
    result = found([], [], PACELINE_TUNING_FILE="/app/tuning.json")

    assert "/app" not in mounted(result)
    assert variable(result, "PACELINE_TUNING_FILE") == "/etc/paceline/tuning/tuning.json"


def test_a_folder_that_is_the_document_already_stays_where_it_is() -> None:
    result = found([DOCUMENT], [{"name": "doc", "mountPath": "/config"}], PACELINE_TUNING_FILE="/config/tuning.json")

    assert mounted(result) == {"/config": "doc", "/run/paceline": "run"}
    assert variable(result, "PACELINE_TUNING_FILE") == "/config/tuning.json"


@pytest.mark.invariant
@pytest.mark.parametrize(
    "path", ["/etc/paceline/tuning", "/etc/paceline", "/etc/paceline/tuning/more", "/run/paceline", "/run/paceline/pod"]
)
@pytest.mark.parametrize("source", [{"persistentVolumeClaim": {"claimName": "c"}}, {"secret": {"secretName": "s"}}])
def test_the_mount_of_another_volume_stays(path: str, source: dict[str, Any]) -> None:
    volume, mount = {"name": "own", **source}, {"name": "own", "mountPath": path}
    result = found([volume], [mount])

    assert mount in app_of(result.mended)["volumeMounts"]
    assert volume in result.mended["spec"]["template"]["spec"]["volumes"]
    assert by_hand(result) == ["tuning" if "tuning" in path or "etc" in path else "run"]


def test_a_mount_fits_into_a_folder_that_can_be_written_to() -> None:
    result = found([{"name": "tmp", "emptyDir": {}}], [{"name": "tmp", "mountPath": "/run"}])

    assert (by_hand(result), mounted(result)["/run/paceline"]) == ([], "run")


@pytest.mark.invariant
def test_no_volume_is_made_another() -> None:
    names = ("run", "paceline-run", "tuning", "paceline-tuning")
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    manifest = foreign("StatefulSet")
    manifest["spec"]["template"]["spec"]["volumes"] = claims
    manifest["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "paceline-run-2"}}]
    result = inspected(read_subject(manifest, "app"))

    kept = result.mended["spec"]["template"]["spec"]["volumes"]
    assert [each for each in kept if each["name"] in names] == claims
    assert {each["name"] for each in kept} - set(names) == {"paceline-run-3", "paceline-tuning-2"}


def test_a_path_that_ends_in_a_slash_is_mounted_once() -> None:
    document = {"name": "doc", "configMap": {"name": "shop-tuning"}}
    mounts = [{"name": "doc", "mountPath": "/config/"}, {"name": "run", "mountPath": "/run/paceline/"}]
    result = found([document, {"name": "run", "emptyDir": {}}], mounts, PACELINE_TUNING_FILE="/config/tuning.json")

    assert mounted(result) == {"/config": "doc", "/run/paceline/": "run"}
