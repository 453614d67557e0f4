"""The operator when the API server fails: it recovers by itself, or its probe says that it must be restarted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from envtest import EnvtestServer
from faulty_proxy import FaultyProxy
from operator_process import OperatorUnderTest, until
from policy_namespace import PolicyNamespace

WATCHES = 4
"""Of policies, budgets, deployments and stateful sets."""

pytestmark = pytest.mark.apiserver


@pytest.fixture
def proxy(server: EnvtestServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.url, server.ca) as running:
        yield running


@pytest.fixture
def home(server: EnvtestServer, namespace: str) -> PolicyNamespace:
    return PolicyNamespace(server, namespace)


@pytest.fixture
def operator(
    server: EnvtestServer, proxy: FaultyProxy, home: PolicyNamespace, tmp_path: Path
) -> Iterator[OperatorUnderTest]:
    """Sees the API server through the proxy alone, and tunes one target."""
    with OperatorUnderTest(
        server.kubeconfig("operator", proxy.url),
        tmp_path,
        home.name,
        PACELINE_OPERATOR_API_TIMEOUT_SECONDS="1",
        PACELINE_OPERATOR_RETRY_MAX_SECONDS="2",
    ) as running:
        home.create_target()
        home.apply_policy(workers=3)
        until(lambda: home.workers() == 3, "the document")
        running.wait_until_healthy()
        yield running


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(lambda proxy: proxy.answer(503), id="answers 503"),
        pytest.param(lambda proxy: proxy.answer(403), id="answers 403"),
        pytest.param(lambda proxy: proxy.answer(429), id="answers 429"),
        pytest.param(FaultyProxy.refuse, id="refuses connections"),
        pytest.param(FaultyProxy.hang, id="answers nothing"),
    ],
)
def test_after_an_outage_a_change_is_carried_out_by_the_same_process(
    proxy: FaultyProxy, operator: OperatorUnderTest, home: PolicyNamespace, fail: Callable[[FaultyProxy], None]
) -> None:
    fail(proxy)
    home.delete_policy()
    home.apply_policy(workers=4, name="known-to-watches-alone")
    until(lambda: operator.failed_requests > 4, "failed requests of every watch")
    assert home.workers() == 3, "nothing gets through"
    assert operator.process.poll() is None
    proxy.recover()
    until(lambda: home.workers() == 4, "the new policy's document")
    until(lambda: operator.healthz() == 200, "a healthy probe")


def test_a_watch_is_tried_again_however_often_it_fails(
    proxy: FaultyProxy, operator: OperatorUnderTest, home: PolicyNamespace
) -> None:
    proxy.answer(503)
    home.delete_policy()
    home.apply_policy(workers=4, name="known-to-watches-alone")
    until(lambda: "Request attempt #5 failed" in operator.log, "the fifth attempt")
    proxy.recover()
    until(lambda: home.workers() == 4, "the new policy's document")


def error_event(code: int) -> dict[str, object]:
    return {"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": code, "message": "told to"}}


def test_a_watch_that_has_expired_is_opened_anew(
    proxy: FaultyProxy, operator: OperatorUnderTest, home: PolicyNamespace
) -> None:
    until(lambda: proxy.watches == WATCHES, "all watches are open")
    assert proxy.send_to_watches(error_event(410)) == WATCHES
    home.delete_policy()
    home.apply_policy(workers=4, name="known-to-watches-alone")
    until(lambda: home.workers() == 4, "the new policy's document")
    until(lambda: operator.healthz() == 200, "a healthy probe")


def test_a_watch_that_breaks_for_good_ends_the_process(proxy: FaultyProxy, operator: OperatorUnderTest) -> None:
    until(lambda: proxy.watches == WATCHES, "all watches are open")
    assert proxy.send_to_watches(error_event(500)) == WATCHES
    assert operator.process.wait(30) == 1, "so that kubelet starts it anew"
    assert "ended by itself" in operator.log.splitlines()[-1]


def test_an_operator_that_starts_in_an_outage_is_not_healthy_until_it_ends(
    server: EnvtestServer, proxy: FaultyProxy, home: PolicyNamespace, tmp_path: Path
) -> None:
    home.create_target()
    home.apply_policy(workers=3)
    proxy.answer(503)
    with OperatorUnderTest(server.kubeconfig("operator", proxy.url), tmp_path, home.name) as operator:
        until(lambda: operator.healthz() == 500, "an unhealthy probe")
        proxy.recover()
        until(lambda: home.workers() == 3, "the document")
        operator.wait_until_healthy()
