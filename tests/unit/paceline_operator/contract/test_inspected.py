"""A pod held against the contract: each clause on its own, and the whole that is silent afterwards."""

import json
from typing import Any

import pytest
from foreign import app_of, foreign
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.contract.inspected import inspected
from paceline_operator.contract.patch import Form, form_for, patch_between
from paceline_operator.contract.subject import read_subject
from paceline_operator.errors import UsageError

KINDS = ("Deployment", "StatefulSet", "Rollout")


def mended(**container: Any) -> dict[str, Any]:
    """A workload that lacks nothing, then changed."""
    manifest = dict(inspected(read_subject(foreign())).mended)
    app_of(manifest).update(container)
    return manifest


def said(manifest: dict[str, Any]) -> list[str]:
    return [f"{each.clause}: {each.message}" for each in inspected(read_subject(manifest, "app")).findings]


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_workload_lacks_all_clauses_and_its_mended_self_none(kind: str) -> None:
    found = inspected(read_subject(foreign(kind)))

    assert {each.clause for each in found.findings} == {
        "command", "port", "management", "address", "tuning", "run", "identity", "probes", "ending",
    }  # fmt: skip
    assert not inspected(read_subject(found.mended)).findings
    app = app_of(found.mended)
    assert app["command"] == ["paceline", "serve", "-k", "uvicorn_worker.UvicornWorker", "shop.main:app"]
    assert {"name": "PACELINE_BIND", "value": "0.0.0.0:8080"} in app["env"]
    assert app["readinessProbe"] == {"httpGet": {"path": "/readyz", "port": "paceline"}, "periodSeconds": 3}


def env(**values: str) -> list[dict[str, Any]]:
    """The variables of a workload that lacks nothing, with others; an empty value takes one away."""
    found = {each["name"]: each for each in app_of(mended())["env"]}
    found |= {name: {"name": name, "value": value} for name, value in values.items()}
    return [each for each in found.values() if each.get("value") != ""]


def mounts(**changed: Any) -> list[dict[str, Any]]:
    """With the mount of the tuning document changed."""
    return [{**each, **changed} if each["name"] == "tuning" else each for each in app_of(mended())["volumeMounts"]]


@pytest.mark.parametrize(
    ("container", "says"),
    [
        pytest.param({"command": ["sh", "-c", "exec uvicorn shop:app"]}, "command: uvicorn serves", id="a-shell"),
        pytest.param(
            {"command": None, "args": ["--workers", "2"], "ports": []}, "command: the manifest does", id="an-image"
        ),
        pytest.param({"ports": [{"containerPort": 9090}]}, "port: no port is named", id="a-port-without-a-name"),
        pytest.param(
            {"env": env(PACELINE_MANAGEMENT_BIND="")},
            "management: PACELINE_MANAGEMENT_BIND is 127.0.0.1:9090 by",
            id="loopback-by-default",
        ),
        pytest.param(
            {"env": env(PACELINE_MANAGEMENT_BIND="0.0.0.0:9191")},
            "management: PACELINE_MANAGEMENT_BIND is 0.0.0.0:9191",
            id="another-number",
        ),
        pytest.param(
            {"command": ["paceline", "serve", "--management-bind=127.0.0.1:9090", "a:b"]},
            "management: --management-bind is",
            id="a-flag-wins",
        ),
        pytest.param(
            {"env": env(PACELINE_BIND="")}, "address: PACELINE_BIND is 127.0.0.1:8000", id="nobody-reaches-it"
        ),
        pytest.param(
            {"volumeMounts": mounts(subPath="tuning.json")},
            "tuning: ConfigMap shop-tuning is mounted by subPath",
            id="a-single-file",
        ),
        pytest.param({"volumeMounts": mounts(name="data")}, "tuning: volume data is mounted", id="another-volume"),
        pytest.param(
            {"env": env(PACELINE_TUNING_FILE="")}, "tuning: PACELINE_TUNING_FILE is not set", id="no-file-named"
        ),
        pytest.param(
            {"env": env(PACELINE_RUN_DIR="/run/paceline")},
            "run: PACELINE_RUN_DIR is /run/paceline, which",
            id="the-mount-itself",
        ),
        pytest.param(
            {"env": env(PACELINE_RUN_DIR="/etc/paceline/tuning/run")}, "run: PACELINE_RUN_DIR is", id="in-a-config-map"
        ),
        pytest.param({"env": env(PACELINE_POD_UID="")}, "identity: PACELINE_POD_UID", id="no-uid"),
        pytest.param({"readinessProbe": None}, "probes: no readinessProbe", id="never-asked"),
        pytest.param(
            {"livenessProbe": {"httpGet": {"path": "/readyz", "port": 9090}}},
            "probes: livenessProbe asks /readyz",
            id="killed-while-draining",
        ),
        pytest.param(
            {"env": env(PACELINE_TERMINATION_DELAY_SECONDS="")},
            "ending: PACELINE_TERMINATION_DELAY_SECONDS",
            id="no-delay",
        ),
        pytest.param(
            {"env": env(PACELINE_GRACEFUL_TIMEOUT_SECONDS="120")},
            "ending: terminationGracePeriodSeconds is 55: requests may take until 145 s",
            id="long-requests",
        ),
    ],
)
def test_one_thing_missing_is_one_line_and_can_be_mended(container: dict[str, Any], says: str) -> None:
    manifest = mended(**container)
    found = inspected(read_subject(manifest, "app"))

    assert [line for line in said(manifest) if line.startswith(says)], said(manifest)
    assert {each.clause for each in found.findings} <= {
        says.partition(":")[0],
        "port",
        "management",
        "probes",
        "ending",
    }
    left = inspected(read_subject(found.mended, "app")).findings
    assert all(each.by_hand for each in left), left


@pytest.mark.parametrize(
    "container",
    [
        pytest.param({"command": ["/opt/venv/bin/paceline", "serve", "a:b"]}, id="a-path"),
        pytest.param(
            {"command": ["ddtrace-run", "python", "-m", "paceline", "serve", "a:b"]}, id="a-module-in-a-wrapper"
        ),
        pytest.param({"command": ["sh", "-c", "alembic upgrade head && exec paceline serve a:b"]}, id="a-shell"),
        pytest.param({"command": None}, id="the-image's-command"),
        pytest.param(
            {"command": ["paceline", "serve", "-b", ":8000", "a:b"], "env": env(PACELINE_BIND="")}, id="an-option"
        ),
        pytest.param(
            {"env": env(PACELINE_TERMINATION_DELAY_SECONDS=""), "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}},
            id="a-hook",
        ),
    ],
)
def test_what_does_as_well_is_silent(container: dict[str, Any]) -> None:
    assert said(mended(**container)) == []


def test_the_document_of_another_name_is_put_right_in_place() -> None:
    """As a name prefix leaves it."""
    manifest = mended()
    manifest["metadata"]["name"] = "dev-shop"

    found = inspected(read_subject(manifest))

    (line,) = said(manifest)
    assert line.startswith("tuning: ConfigMap shop-tuning is mounted, and the tuning document of this workload is")
    assert patch_between(manifest, found.mended, "strategic") == {
        "spec": {"template": {"spec": {"volumes": [{"name": "tuning", "configMap": {"name": "dev-shop-tuning"}}]}}}
    }


def test_a_native_sidecar_may_serve() -> None:
    manifest = mended()
    pod = manifest["spec"]["template"]["spec"]
    pod["initContainers"] = [{**pod["containers"].pop(), "restartPolicy": "Always"}]

    assert inspected(read_subject(manifest)).findings == ()
    assert read_subject(manifest).step == ("initContainers", 0)


def test_a_container_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="Deployment shop has no container web: it has proxy, app"):
        read_subject(foreign(), "web")
    with pytest.raises(UsageError, match="ConfigMap x has no pod template"):
        read_subject({"kind": "ConfigMap", "metadata": {"name": "x"}})


@given(data=st.data(), form=st.sampled_from(["strategic", "merge"]), kind=st.sampled_from(KINDS))
def test_whatever_is_left_out_the_patch_brings_back_and_no_more(data: st.DataObject, form: Form, kind: str) -> None:
    """Of a workload that lacks nothing any entries may be missing: the patched manifest lacks nothing again."""
    manifest = dict(inspected(read_subject(foreign(kind))).mended)
    pod, app = manifest["spec"]["template"]["spec"], app_of(manifest)
    for lists, name in ((app, "env"), (app, "ports"), (app, "volumeMounts"), (pod, "volumes")):
        lists[name] = data.draw(st.lists(st.sampled_from(lists[name]), unique_by=str))
    for name in data.draw(st.sets(st.sampled_from(["command", "startupProbe", "readinessProbe", "livenessProbe"]))):
        del app[name]

    found = inspected(read_subject(manifest, "app"))
    patched = _patched(manifest, patch_between(manifest, found.mended, form))

    assert _sorted(patched) == _sorted(found.mended)
    assert all(each.by_hand for each in inspected(read_subject(patched, "app")).findings)
    assert all(entry in app_of(patched)["env"] for entry in app["env"])


def test_custom_resources_get_a_merge_patch() -> None:
    assert [form_for(foreign(kind)) for kind in KINDS] == ["strategic", "strategic", "merge"]


KEYS = {"containers": "name", "volumes": "name", "env": "name", "ports": "containerPort", "volumeMounts": "mountPath"}


def _patched(before: Any, patch: Any, name: str = "") -> Any:
    """RFC 7386, and lists of a strategic merge patch where all entries of a patch say no more than a part."""
    if isinstance(patch, dict):
        kept = dict(before) if isinstance(before, dict) else {}
        for field, value in patch.items():
            kept[field] = _patched(kept.get(field), value, field)
        return {field: value for field, value in kept.items() if value is not None}
    if not isinstance(patch, list) or name not in KEYS or not isinstance(before, list):
        return patch
    key = KEYS[name]
    entries = {entry[key]: entry for entry in before}
    for entry in patch:
        if entry.get("$patch") == "delete":
            del entries[entry[key]]
        else:
            entries[entry[key]] = _patched(entries.get(entry[key]), entry)
    return list(entries.values())


def _sorted(item: Any) -> Any:
    """Without the order of entries, which a strategic merge does not promise."""
    if isinstance(item, dict):
        return {name: _sorted(value) for name, value in item.items()}
    if isinstance(item, list) and item and isinstance(item[0], dict):
        return sorted(map(_sorted, item), key=lambda entry: json.dumps(entry, sort_keys=True))
    return item
