"""ConnectionBudgets as files: who refers to them, and that no write of a ledger is lost to another."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from paceline_operator.cluster.local_budgets import LocalBudgets
from paceline_operator.cluster.policy_folder import PolicyFolder
from paceline_operator.crd.connectionbudget import references
from paceline_operator.ports import BudgetResource, Conflict, PlatformUnavailable, PolicyKey

MAIN = PolicyKey("data", "main")
BUDGET = """
apiVersion: paceline.dev/v1alpha1
kind: ConnectionBudget
metadata: {{name: main, namespace: {namespace}}}
spec: {{maxConnections: {most}}}
"""
POLICY = """
---
apiVersion: paceline.dev/v1alpha1
kind: TuningPolicy
metadata: {name: api, namespace: shop}
spec: {pools: [{name: postgres, budgetRef: {name: main, namespace: data}}]}
"""


def folder(path: Path) -> LocalBudgets:
    files = PolicyFolder(path, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    return LocalBudgets(files, references=references)


def save(path: Path, most: int = 100, namespace: str = "data") -> None:
    (path / f"{namespace}.yaml").write_text(BUDGET.format(most=most, namespace=namespace) + POLICY)


async def read(budgets: LocalBudgets, key: PolicyKey = MAIN) -> BudgetResource:
    found = await budgets.budget(key)
    assert found is not None
    return found


async def test_a_budget_and_its_policies_may_stand_in_one_file(tmp_path: Path) -> None:
    save(tmp_path)
    budgets = folder(tmp_path)
    assert (await read(budgets)).spec == {"maxConnections": 100}
    assert [policy.key for policy in await budgets.referring(MAIN)] == [PolicyKey("shop", "api")]
    assert await budgets.referring(PolicyKey("shop", "main")) == []
    assert await budgets.budget(PolicyKey("shop", "main")) is None


async def test_its_status_is_kept_and_is_no_manifest(tmp_path: Path) -> None:
    save(tmp_path)
    await folder(tmp_path).write_budget(await read(folder(tmp_path)), {"worst": 7, "observedGeneration": 3})
    again = await read(folder(tmp_path))
    assert again.status["worst"] == 7
    assert again.generation == 4, "edited while nobody looked, for all that is known"
    assert len(await folder(tmp_path).budgets()) == 1


@pytest.mark.invariant
async def test_who_has_not_seen_the_latest_ledger_does_not_write(tmp_path: Path) -> None:
    save(tmp_path)
    budgets = folder(tmp_path)
    before = await read(budgets)
    await budgets.write_budget(before, {"worst": 7})
    with pytest.raises(Conflict, match="data/main has changed"):
        await budgets.write_budget(before, {"worst": 1})

    before = await read(budgets)
    save(tmp_path, most=50)
    with pytest.raises(Conflict):
        await budgets.write_budget(before, {"worst": 1})
    assert (await read(budgets)).status == {"worst": 7}
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(Conflict):
        await budgets.write_budget(before, {"worst": 1})


async def test_a_file_is_parsed_once_and_a_bad_edit_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path)
    budgets = folder(tmp_path)
    before = await read(budgets)
    with monkeypatch.context() as parsed:
        parsed.delattr("paceline_operator.cluster.policy_folder.parse_manifests")
        assert await read(budgets) == before
    (tmp_path / "data.yaml").write_text("kind: [")
    assert [await read(budgets), await read(budgets)] == [before, before]
    assert [record.getMessage().startswith("data.yaml: not YAML") for record in caplog.records] == [True]


@pytest.mark.invariant
async def test_two_of_one_name_have_a_ledger_each(tmp_path: Path) -> None:
    save(tmp_path)
    save(tmp_path, namespace="other")
    budgets = folder(tmp_path)
    await budgets.write_budget(await read(budgets), {"worst": 7})
    assert (await read(budgets, PolicyKey("other", "main"))).status == {}


async def test_a_ledger_that_cannot_be_written_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path)
    budgets = folder(tmp_path)
    found = await read(budgets)
    monkeypatch.setattr(PolicyFolder, "write_budget_status", _refused)
    with pytest.raises(PlatformUnavailable, match=r"data/main could not be written: Disk full"):
        await budgets.write_budget(found, {"worst": 7})


def _refused(*_: object) -> None:
    raise OSError(28, "Disk full")
