"""Every alert fires once, for what it is about, by Prometheus's own tool; and each has its page."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILE = ROOT / "helm" / "paceline" / "files" / "observability" / "rules.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
DASHBOARD = FILE.with_name("dashboard.json")
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
}
WELL = {
    "paceline_operator_policies": "2x200",
    'paceline_operator_reconcile_failures_total{error="PlatformUnavailable"}': "0x200",
    "paceline_operator_overdue_seconds": "3x200",
    'paceline_policy_condition{policy="shop/api", type="Ready", status="True"}': "1x200",
    'paceline_policy_condition{policy="shop/api", type="Ready", status="False"}': "0x200",
    'paceline_policy_objective_met{policy="shop/api"}': "1x200",
    'paceline_policy_pods{policy="shop/api"}': "6x200",
    'paceline_policy_pods_applied{policy="shop/api"}': "6x200",
    'paceline_budget_condition{budget="data/main", type="WithinBudget", status="False"}': "0x200",
}
"""A morning without any trouble, a value a minute."""
ILL = {
    "PacelineOperatorAbsent": ("paceline_operator_policies", "_x200", {}),
    "PacelineReconcileFailing": (
        'paceline_operator_reconcile_failures_total{error="PlatformUnavailable"}',
        "0+1x200",
        {"error": "PlatformUnavailable"},
    ),
    "PacelinePassOverdue": ("paceline_operator_overdue_seconds", "3+60x200", {}),
    "PacelinePolicyNotReady": (
        'paceline_policy_condition{policy="shop/api", type="Ready", status="False"}',
        "1x200",
        {"policy": "shop/api"},
    ),
    "PacelineObjectiveMissed": ('paceline_policy_objective_met{policy="shop/api"}', "0x200", {"policy": "shop/api"}),
    "PacelinePodsBehind": ('paceline_policy_pods_applied{policy="shop/api"}', "4x200", {"policy": "shop/api"}),
    "PacelineBudgetExceeded": (
        'paceline_budget_condition{budget="data/main", type="WithinBudget", status="False"}',
        "1x200",
        {"budget": "data/main"},
    ),
}
"""By alert: the series that says it, how it goes, and what the alert names."""
LATE = "100m"


def promtool(*arguments: str) -> None:
    beside = os.environ.get("PROMETHEUS")
    program = str(Path(beside).with_name("promtool")) if beside else shutil.which("promtool")
    if program is None:
        pytest.skip("prometheus: no program `promtool` on PATH, nor beside PROMETHEUS")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def firing(alert: str) -> dict[str, Any]:
    """As Prometheus shows it."""
    rule, labels = RULES[alert], ILL[alert][2]
    fill = {f"{{{{ $labels.{name} }}}}": value for name, value in labels.items()}
    annotations = {
        name: re.sub(r"\{\{.*?\}\}", lambda found: fill[found[0]], text) for name, text in rule["annotations"].items()
    }
    return {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": annotations}


def morning(alert: str | None) -> dict[str, Any]:
    """A promtool test: with this trouble exactly its alert fires, once; without any, none does."""
    series = dict(WELL)
    if alert is not None:
        name, values, _ = ILL[alert]
        series[name] = values
    expected = [
        {"eval_time": LATE, "alertname": name, "exp_alerts": [firing(name)] if name == alert else []} for name in RULES
    ]
    early = [{"eval_time": "1m", "alertname": name, "exp_alerts": []} for name in RULES]
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": early + expected,
    }


def test_the_rules_are_rules() -> None:
    promtool("check", "rules", str(FILE))


def test_each_alert_fires_once_for_its_own_trouble_and_none_without(tmp_path: Path) -> None:
    assert ILL.keys() == RULES.keys()
    cases = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "1m",
        "tests": [morning(alert) for alert in (None, *RULES)],
    }
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(cases))
    promtool("test", "rules", str(tmp_path / "cases.yaml"))


def asked(page: Path, *words: str) -> str:
    """The query of a page that has all of these words."""
    lines = page.read_text().splitlines()
    (found,) = {line.partition("  #")[0].strip() for line in lines if all(word in line for word in words)}
    return found


def of_the_dashboard(title: str) -> list[str]:
    """What a panel asks."""
    (panel,) = (each for each in json.loads(DASHBOARD.read_text())["panels"] if each.get("title") == title)
    return [target["expr"].replace("$policy", ".+") for target in panel["targets"]]


def finds(expression: str, *samples: tuple[str, float]) -> dict[str, Any]:
    """What a query comes to after ten minutes."""
    expected = [{"labels": labels, "value": value} for labels, value in samples]
    return {"expr": expression, "eval_time": "10m", "exp_samples": expected}


def test_latency_is_held_against_the_objective_at_its_own_quantile(tmp_path: Path) -> None:
    latency, objective = "paceline_policy_latency_seconds", "paceline_policy_objective_seconds"
    series = {
        f'{latency}{{policy="a/p95", quantile="0.95"}}': "0.2x10",
        f'{latency}{{policy="a/p95", quantile="0.99"}}': "0.8x10",
        f'{latency}{{policy="a/p99", quantile="0.95"}}': "0.1x10",
        f'{latency}{{policy="a/p99", quantile="0.99"}}': "0.6x10",
        f'{latency}{{policy="a/none", quantile="0.95"}}': "0.5x10",
        f'{latency}{{policy="a/none", quantile="0.99"}}': "0.9x10",
        f'{objective}{{policy="a/p95", quantile="0.95"}}': "0.4x10",
        f'{objective}{{policy="a/p99", quantile="0.99"}}': "0.3x10",
    }
    by_policy = (('{policy="a/p95", quantile="0.95"}', 0.5), ('{policy="a/p99", quantile="0.99"}', 2.0))
    shown = (
        (f'{latency}{{policy="a/none", quantile="0.95"}}', 0.5),
        (f'{latency}{{policy="a/p95", quantile="0.95"}}', 0.2),
        (f'{latency}{{policy="a/p99", quantile="0.99"}}', 0.6),
    )
    pages = (RUNBOOKS / "PacelineObjectiveMissed.md", ROOT / "docs" / "operations.md")
    expressions = [finds(asked(page, latency, objective), *by_policy) for page in pages]
    expressions.append(finds(of_the_dashboard("Latency and objective")[0], *shown))
    check_queries(tmp_path, series, expressions)


def test_where_nothing_was_judged_nothing_is_missed(tmp_path: Path) -> None:
    series = {"paceline_operator_policies": "1x10"}
    titles = ("Objectives missed", "Policies not ready", "Pods behind")
    check_queries(tmp_path, series, [finds(of_the_dashboard(title)[0], ("{}", 0)) for title in titles])


def check_queries(folder: Path, series: Mapping[str, str], expressions: list[dict[str, Any]]) -> None:
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": expressions}
    (folder / "queries.yaml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    promtool("test", "rules", str(folder / "queries.yaml"))


def test_kubectl_is_not_told_to_look_for_a_name_in_all_namespaces() -> None:
    commands = [
        line.partition("#")[0].partition("|")[0].split()
        for page in (*RUNBOOKS.glob("*.md"), *(ROOT / "docs").glob("*.md"))
        for line in re.findall(r"kubectl [^`\n]*", page.read_text())
    ]
    everywhere = [words for words in commands if "get" in words and {"-A", "--all-namespaces"} & {*words}]
    assert len(everywhere) > 2
    assert [words for words in everywhere if len([word for word in words if not word.startswith("-")]) > 3] == []


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    pages = {rule["annotations"]["runbook_url"] for rule in RULES.values()}
    assert pages == {f"docs/runbooks/{name}.md" for name in RULES}
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == RULES.keys()
    for name in RULES:
        page = (RUNBOOKS / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n")
        assert [part for part in ("**Means:**", "**Look first:**", "**End it:**") if part not in page] == []
