"""Manifests as they come out of charts and editors."""

from typing import Any

import pytest
import yaml
from paceline_operator.contract.report import command_of
from paceline_operator.errors import UsageError
from paceline_operator.inspection import of_manifests

SHOP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec: {template: {spec: {containers: [{name: app, command: [gunicorn, "a:b"]}]}}}
"""


@pytest.mark.parametrize(
    "others",
    [
        pytest.param("kind: Foo\nspec: text", id="a-spec-that-is-a-text"),
        pytest.param("kind: CustomResourceDefinition\nspec: {template: foo}", id="a-template-that-is-a-text"),
        pytest.param("kind: Foo\nmetadata: text\nspec: [1]", id="metadata-that-is-a-text"),
        pytest.param("kind: ConfigMap\ndata: {operator: =}", id="the-value-tag"),
        pytest.param("kind: List\nitems: [null, text]", id="a-list-of-nothing"),
        pytest.param(
            "kind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\nspec: {containers: [{name: t}]}",
            id="a-hook",
        ),
    ],
)
def test_objects_that_are_no_workload_are_passed_over(others: str) -> None:
    assert of_manifests(f"{others}\n---{SHOP}", None, None, None).subject.name == "shop"


@pytest.mark.parametrize("kind", ["List", "DeploymentList"])
def test_lists_of_any_kind_are_read(kind: str) -> None:
    item = yaml.safe_load(SHOP)
    if kind != "List":
        del item["kind"], item["apiVersion"]
    found = of_manifests(yaml.safe_dump({"apiVersion": "apps/v1", "kind": kind, "items": [item]}), None, None, None)
    assert (found.subject.kind, found.subject.name) == ("Deployment", "shop")


def test_the_namespace_that_was_given_is_that_of_the_command() -> None:
    found = of_manifests(SHOP, None, "prod", None)
    assert "deployment shop --namespace prod " in command_of(found)
    assert "namespace" not in found.mended["metadata"]


APP = {"name": "app"}


@pytest.mark.parametrize(
    ("pod", "says"),
    [
        ({"containers": [{**APP, "ports": [{"containerPort": "abc"}]}]},
         r"containers\[0\].ports\[0\].containerPort is 'a"),
        ({"containers": [APP], "terminationGracePeriodSeconds": "60"},
         "terminationGracePeriodSeconds is '60': write a whole"),
        ({"containers": [APP, None]}, r"spec.template.spec.containers\[1\] is empty: write a mapping"),
        ({"containers": [{**APP, "env": [{"value": "x"}]}]}, r"containers\[0\].env\[0\].name is missing"),
        ({"containers": [{**APP, "command": "gunicorn a:b"}]},
         r"containers\[0\].command is 'gunicorn a:b': write a list"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_read_is_named(pod: dict[str, Any], says: str) -> None:
    manifest = {**yaml.safe_load(SHOP), "spec": {"template": {"spec": pod}}}
    with pytest.raises(UsageError, match=f"Deployment shop: .*{says}"):
        of_manifests(yaml.safe_dump(manifest), None, None, None)


def test_a_workload_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="Deployment without a name: metadata is missing"):
        of_manifests(SHOP.replace("metadata: {name: shop}", ""), None, None, None)
