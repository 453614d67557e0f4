"""What the operator's account may do on this API server, and what it may not."""

import pytest
from release import Release
from testcluster import CommandFailed


def account(release: Release) -> str:
    return f"--as=system:serviceaccount:{release.namespace}:paceline-operator"


def may(release: Release, *what: str) -> bool:
    try:
        return release.kubectl("auth", "can-i", *what, account(release)).strip() == "yes"
    except CommandFailed:
        return False


@pytest.mark.invariant
def test_the_operator_may_nudge_pods_but_not_change_them(release: Release) -> None:
    assert may(release, "patch", "pods", "--subresource=status")
    assert not may(release, "patch", "pods")
    assert not may(release, "update", "deployments")


@pytest.mark.invariant
@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_the_operator_reads_no_secret(release: Release, verb: str) -> None:
    assert not may(release, verb, "secrets")


@pytest.mark.invariant
def test_the_operator_writes_tuning_documents_and_no_other_configmap(release: Release) -> None:
    release.kubectl("create", "configmap", "other-tuning", account(release), "--dry-run=server")
    with pytest.raises(CommandFailed, match="writes tuning documents only"):
        release.kubectl("create", "configmap", "other", account(release), "--dry-run=server")


@pytest.mark.invariant
def test_the_service_has_no_account_that_means_anything(release: Release) -> None:
    service = f"--as=system:serviceaccount:{release.namespace}:paceline-service"
    with pytest.raises(CommandFailed):
        release.kubectl("auth", "can-i", "get", "pods", service)
