"""`paceline-operator budget`: who holds how many connections of a server, and why, as a table."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from paceline_operator.cluster.budgets import KubernetesBudgets
from paceline_operator.cluster.local import LocalPlatform
from paceline_operator.cluster.local_budgets import LocalBudgets
from paceline_operator.cluster.looking import cluster_seen_by
from paceline_operator.crd.connectionbudget import references
from paceline_operator.errors import OperatorError, UsageError
from paceline_operator.ports import BudgetResource, PlatformUnavailable, PolicyKey

HEAD: Final = ("POLICY", "TARGET", "MODE", "PODS", "PER POD", "WORST", "SHARE", "USED")


async def tell(key: PolicyKey, folder: Path | None = None) -> str:
    """The table, asked of the cluster, or of a folder of `local`.

    Raises:
        UsageError: there is no such budget, or no access to a cluster or to the folder.
        OperatorError: the API server did not respond.
    """
    if folder is not None:
        return table(await _from_folder(key, folder))
    try:
        found = await _from_cluster(key)
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error
    if found is None:
        raise UsageError(
            f"there is no ConnectionBudget {key}: `kubectl get connectionbudgets --all-namespaces` lists them"
        )
    return table(found)


def table(budget: BudgetResource) -> str:
    """All that its status says of who holds what."""
    status = budget.status
    if "connections" not in status:
        return "\n".join([f"{budget.key}: not counted yet; is the operator running?", *_conditions(status)])
    members: Sequence[Mapping[str, Any]] = status.get("members") or ()
    rows = [HEAD, *(_row(member) for member in members)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    said = [f"{member['policy']}: {member['message']}" for member in members if member.get("message")]
    parts = [[_headline(budget)], lines if members else ["no policy refers to it"], said, list(_conditions(status))]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _headline(budget: BudgetResource) -> str:
    status, spec = budget.status, budget.spec
    told = (
        f"{budget.key}: {status['worst']} of {status['connections']} connections at the worst, {status['used']} in use"
    )
    if spec.get("endpoint") == "Pooler":
        return f"{told} (client connections of the pooler)"
    most, learnt = spec.get("maxConnections"), status.get("serverMaxConnections")
    if isinstance(most, int) and isinstance(learnt, int) and learnt < most:
        most = f"the server says {learnt}, less than the {most} of maxConnections;"
        return f"{told} ({most} {spec.get('reserved')} reserved)"
    return f"{told} ({most} less {spec.get('reserved')} reserved)"


def _row(member: Mapping[str, Any]) -> tuple[str, ...]:
    used = sum(pool.get("used", 0) for pool in member.get("pools") or ())
    pods = (member.get("pods") or {}).get("worst")
    cells = (
        member.get("policy"),
        member.get("target"),
        member.get("mode"),
        pods,
        member.get("perPod"),
        member.get("worst"),
        member.get("share"),
        used,
    )
    return tuple("-" if cell is None else str(cell) for cell in cells)


def _conditions(status: Mapping[str, Any]) -> Iterator[str]:
    """Those that ask a person to look."""
    for condition in status.get("conditions") or ():
        if condition["status"] != "True":
            yield f"{condition['type']}={condition['status']} {condition['reason']}: {condition['message']}"


async def _from_folder(key: PolicyKey, folder: Path) -> BudgetResource:
    manifests = LocalPlatform(folder, now=lambda: datetime.now(UTC)).manifests
    budgets = LocalBudgets(manifests, references=references)
    found = await budgets.budget(key)
    if found is None:
        known = ", ".join(str(each.key) for each in await budgets.budgets()) or "none"
        raise UsageError(f"{folder} has no ConnectionBudget {key}; it has {known}")
    return found


async def _from_cluster(key: PolicyKey) -> BudgetResource | None:
    async with cluster_seen_by("budget") as (server, platform):
        return await KubernetesBudgets(server, platform, referring=lambda budget: frozenset()).budget(key)
