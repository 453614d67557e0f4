"""Marks tests by folder, skips what this machine cannot run, and says what was skipped and why.

With PACELINE_STRICT=1 (CI) an unexpected skip fails the run. With `--reruns 1` (CI) a failed test runs once more, an
`invariant` never; each that passed only then is listed as FLAKY, and more than three of them fail the run.

With `-n` (make test) processes share the modules among them. All that uses a cluster or an API server runs in one of
them, and first: it takes longest.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# How long an example takes says nothing on a machine that others use, too.
hypothesis.settings.register_profile("noisy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("noisy")

TESTS = Path(__file__).parent
AT_LOWEST = ("lowest: ",) if Path(sys.prefix).name.endswith("-lowest") else ()
"""`make lowest`: what a driver of the lowest version lacks. With the newest one nothing is skipped for that."""
NOT_TO_BE_HAD = tuple(f"{name.lower()}: " for name in ("PGBOUNCER", "CHROMIUM") if os.environ.get(name) == "none")
EXPECTED_SKIPS = ("benchmark: run by `make bench`", "fuzz: run by `make fuzz`", *AT_LOWEST, *NOT_TO_BE_HAD)
MOST_FLAKY = 3
# The cheap and telling ones first: a broken core is seen in seconds, not after the cluster suites.
ONE_BY_ONE = ("unit", "contract", "simulation", "integration", "faults", "cluster", "e2e", "benchmarks")
SHARE_A_CLUSTER = ("tests/cluster/", "tests/e2e/", "tests/integration/kubernetes/")
SIDE_BY_SIDE = ("cluster", "e2e", "integration", "faults", "simulation", "unit", "contract", "benchmarks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in {"cluster", "e2e"}:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(600))
            if "KUBECONFIG" not in os.environ:
                item.add_marker(pytest.mark.skip(reason="cluster: KUBECONFIG names no test cluster"))
        elif item.get_closest_marker("apiserver") and not (
            os.environ.get("KUBECONFIG") or os.environ.get("KUBEBUILDER_ASSETS")
        ):
            item.add_marker(pytest.mark.skip(reason="apiserver: neither KUBECONFIG nor KUBEBUILDER_ASSETS is set"))
        if item.get_closest_marker("invariant") and item.config.pluginmanager.hasplugin("rerunfailures"):
            item.add_marker(pytest.mark.flaky(reruns=0))
    order = SIDE_BY_SIDE if "PYTEST_XDIST_WORKER" in os.environ else ONE_BY_ONE
    items.sort(key=lambda item: order.index(item.path.relative_to(TESTS).parts[0]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A process at a time for each module, and one for all that share a cluster."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "cluster" if nodeid.startswith(SHARE_A_CLUSTER) else nodeid.partition("::")[0]

    return ByModule(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if skipped:
        terminalreporter.section("what was skipped, and why")
        for reason, count in skipped.most_common():
            terminalreporter.write_line(f"{count:4d}  {reason}")
    for name, reason in flaky(terminalreporter).items():
        terminalreporter.write_line(f"FLAKY {name}: {reason}", yellow=True)
    return (yield)


def flaky(reporter: pytest.TerminalReporter) -> dict[str, str]:
    """Tests that failed and passed when they ran once more, and why each failed."""
    failed = {report.nodeid for kind in ("failed", "error") for report in reporter.stats.get(kind, [])}
    rerun = {report.nodeid: _crash(report) for report in reporter.stats.get("rerun", [])}
    return {name: reason for name, reason in sorted(rerun.items()) if name not in failed}


def _crash(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(str(crash.message).split())[:300] if crash else "no reason given"


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # one of several processes: the first one sums up
    if len(flaky(reporter)) > MOST_FLAKY:
        reporter.write_line(f"{len(flaky(reporter))} flaky tests, more than {MOST_FLAKY}: mend them", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if os.environ.get("PACELINE_STRICT") != "1":
        return
    unexpected = [
        report for report in reporter.stats.get("skipped", []) if not _reason(report).startswith(EXPECTED_SKIPS)
    ]
    if unexpected:
        reporter.write_line(f"PACELINE_STRICT: {len(unexpected)} unexpected skips", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reason(report: pytest.TestReport) -> str:
    location = report.longrepr
    return str(location[2] if isinstance(location, tuple) else location).removeprefix("Skipped: ")
