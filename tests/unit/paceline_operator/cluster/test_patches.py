"""Bodies that the operator sends: what they name, and what they must never carry."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.cluster import patches
from paceline_operator.ports import Pod, PolicyKey, PolicyResource, Workload

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
WORKLOAD = Workload("shop", "apps/v1", "Deployment", "api", "uid-1", 2, False, ())
POLICY = PolicyResource(PolicyKey("shop", "api"), "uid-2", 3, "77", NOW, {"mode": "Auto"}, annotations={"team": "web"})


def test_the_workload_owns_the_document_without_holding_up_its_deletion() -> None:
    body = patches.document_config_map(WORKLOAD, b'{"generation": 1}', None)
    assert body["metadata"]["name"] == "api-tuning"
    assert body["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "uid-1"}
    ]
    assert body["data"] == {"tuning.json": '{"generation": 1}'}


@pytest.mark.parametrize("version", [None, "12"])
def test_only_a_replacement_carries_the_version_it_was_decided_on(version: str | None) -> None:
    assert patches.document_config_map(WORKLOAD, b"{}", version)["metadata"].get("resourceVersion") == version


def test_a_nudge_changes_one_annotation_of_this_very_pod() -> None:
    pod = Pod("api-1", "uid-3", None, ready=True)
    assert patches.nudge_patch(pod, 17) == {
        "metadata": {"uid": "uid-3", "annotations": {"paceline.dev/tuning-generation": "17"}}
    }


def test_a_status_is_compared_with_the_version_read() -> None:
    body = patches.status_update(POLICY, {"observedGeneration": 3})
    assert body["metadata"] == {"name": "api", "namespace": "shop", "uid": "uid-2", "resourceVersion": "77"}


@given(st.text())
def test_a_note_fits_whatever_the_message(message: str) -> None:
    note = patches.event(POLICY, "Probe", message, warning=False, now=NOW, reporter="host")["note"]
    assert len(note.encode()) <= 1024
    assert note == message or note.endswith("…")


def test_an_event_is_about_the_policy() -> None:
    body = patches.event(POLICY, "OutOfMemory", "pod api-1 was killed", warning=True, now=NOW, reporter="host")
    assert body["eventTime"] == "2026-01-02T03:04:05.000006Z"
    assert (body["type"], body["reason"], body["note"]) == ("Warning", "OutOfMemory", "pod api-1 was killed")
    assert body["regarding"]["uid"] == "uid-2"
