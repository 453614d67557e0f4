"""A ConnectionBudget's status: rendered for people, and read back for the one thing that is remembered in it, the
ledger of reservations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from paceline_operator.core.budget.account import Account, Member, Pool
from paceline_operator.core.budget.ledger import Entry, Ledger, total
from paceline_operator.crd.conditions import Condition, render_conditions
from paceline_operator.crd.measured import readable
from paceline_operator.ports import TargetRef

TYPES = ("Ready", "WithinBudget", "Settled")
GONE = "Gone"
"""Mode of a member whose policy was deleted while its pods run on."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One member as the status remembers it."""

    policy: str
    entry: Entry
    share: int
    target: TargetRef | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A member, with what a person wants to know of it besides."""

    member: Member
    mode: str
    target: TargetRef | None = None
    running: int = 0


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """What one pass over a budget has to say."""

    account: Account
    members: tuple[Told, ...] = ()
    server_limit: int | None = None
    problems: tuple[str, ...] = field(default=())
    """Members that refer to it and may not, and others that nobody can read."""
    strangers: tuple[str, ...] = field(default=())
    """What is wrong with members of another operator's class; they are counted, and nobody moves them."""


def seats(status: Mapping[str, Any]) -> Mapping[str, Seat]:
    """The members that a status remembers, by policy; what cannot be read is left out."""
    found = (readable(partial(_seat, wire), None) for wire in status.get("members") or ())
    return {seat.policy: seat for seat in found if seat is not None}


def ledger(status: Mapping[str, Any]) -> Ledger:
    """The reservations."""
    return {policy: seat.entry for policy, seat in seats(status).items()}


def with_entry(status: Mapping[str, Any], policy: str, entry: Entry) -> dict[str, Any]:
    """The status with one reservation changed; nothing else of it."""
    members = [
        {**wire, **_entry(entry)} if wire.get("policy") == policy else wire for wire in status.get("members") or ()
    ]
    changed = {**status, "members": members}
    return {**changed, "worst": total(ledger(changed).values())}


def render_not_ready(
    previous: Mapping[str, Any], reason: str, message: str, generation: int, now: datetime
) -> dict[str, Any]:
    """Ready=False; the ledger stays as it is."""
    others = (Condition(name, "Unknown", reason, "the budget is not ready") for name in TYPES[1:])
    conditions = (Condition("Ready", "False", reason, message), *others)
    return {
        **previous,
        "observedGeneration": generation,
        "conditions": render_conditions(previous, conditions, generation, now),
    }


def render_budget(previous: Mapping[str, Any], report: BudgetReport, generation: int, now: datetime) -> dict[str, Any]:
    """The whole status."""
    account = report.account
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": render_conditions(previous, conditions_of(report), generation, now),
        "connections": account.connections,
        "used": sum(pool.used for told in report.members for pool in told.member.pools),
        "worst": account.worst,
        "pods": sum(told.member.worst.pods for told in report.members),
        "members": [_member(told, account) for told in sorted(report.members, key=lambda told: told.member.policy)],
    }
    return {**status, "serverMaxConnections": report.server_limit} if report.server_limit is not None else status


def conditions_of(report: BudgetReport) -> tuple[Condition, ...]:
    """What a person has to know, each with the way out."""
    return _ready(report), _within(report.account, report.strangers), _settled(report)


def differs(previous: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Whether there is news; connections in use change all the time and are none."""
    return _without_use(previous) != _without_use(status)


def _ready(report: BudgetReport) -> Condition:
    if report.problems:
        return Condition("Ready", "False", "MemberRefused", "; ".join(report.problems))
    return Condition("Ready", "True", "Accepted", f"{len(report.members)} members")


def _within(account: Account, strangers: tuple[str, ...]) -> Condition:
    name = "WithinBudget"
    if account.unseen:
        policy, why = next(iter(sorted(account.unseen.items())))
        more = f" (and {len(account.unseen) - 1} more)" if len(account.unseen) > 1 else ""
        return Condition(name, "False", "MemberUnseen", f"{policy}: {why}{more}; nothing grows until it is counted")
    if strangers:
        return Condition(name, "False", "OtherOperatorClass", "; ".join(strangers))
    if account.worst <= account.connections:
        return Condition(name, "True", "Fits", f"{account.worst} of {account.connections} at the worst")
    told = f"{account.worst} at the worst, and there are {account.connections}"
    if account.needed > account.connections:
        lacking = account.needed - account.connections
        told += (
            f"; minimums, and what is not to be moved, need {account.needed} alone: raise maxConnections by {lacking}, "
            "or lower maxReplicas, minimums or pinned values"
        )
        return Condition(name, "False", "BudgetExhausted", told)
    return Condition(name, "False", "Shrinking", f"{told}: pools are shrinking")


def _settled(report: BudgetReport) -> Condition:
    waiting = report.account.waiting
    if not waiting:
        return Condition("Settled", "True", "AllPodsApplied", "every pod runs what is counted for it")
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    message = f"{waiting[0]}{more}: not every pod has acked its newest values, or one is on its way out; until then "
    return Condition("Settled", "False", "NotConverged", f"{message}the larger of old and new is counted")


def _member(told: Told, account: Account) -> dict[str, Any]:
    member, entry = told.member, account.ledger.get(told.member.policy)
    worst = member.worst
    wire: dict[str, Any] = {
        "policy": member.policy,
        "mode": told.mode,
        "pods": {
            "worst": worst.pods,
            "replicas": worst.replicas,
            "surge": worst.surge,
            "terminating": worst.terminating,
            "running": told.running,
            "source": worst.source,
        },
        "pools": [_pool(pool) for pool in member.pools],
        "message": _why(member, entry, account.shares.get(member.policy)),
    }
    if told.target is not None:
        target = told.target
        wire["target"] = f"{target.kind}/{target.name}"
        wire["targetRef"] = {"apiVersion": target.api_version, "kind": target.kind, "name": target.name}
    return {**wire, **_entry(entry), "share": account.shares[member.policy]} if entry is not None else wire


def _why(member: Member, entry: Entry | None, share: int | None) -> str:
    if entry is None:
        return member.unseen
    told = f"{member.worst} × {entry.per_pod} connections = {entry.total}"
    if member.count.per_pod is not None and entry.per_pod > member.count.per_pod:
        told += f"; {member.count.per_pod} once every pod has acked"
    elif not member.count.settled:
        told += "; not every pod has acked"
    return f"{told}; its share is {share}" if member.movable else f"{told}; only counted"


def _pool(pool: Pool) -> dict[str, Any]:
    return {"name": pool.name, "workers": pool.workers, "limit": pool.limit, "used": pool.used}


def _entry(entry: Entry) -> dict[str, Any]:
    return {"perPod": entry.per_pod, "generation": entry.generation, "worst": entry.total, "counted": entry.pods}


def _seat(wire: Mapping[str, Any]) -> Seat | None:
    if "perPod" not in wire:
        return None
    entry = Entry(int(wire["perPod"]), int(wire["counted"]), int(wire["generation"]))
    reference = wire.get("targetRef")
    target = TargetRef(reference["apiVersion"], reference["kind"], reference["name"]) if reference else None
    return Seat(str(wire["policy"]), entry, int(wire["share"]), target)


def _without_use(status: Mapping[str, Any]) -> dict[str, Any]:
    members: Iterable[Mapping[str, Any]] = status.get("members") or ()
    calm: Sequence[dict[str, Any]] = [
        {**each, "pools": [{**pool, "used": 0} for pool in each.get("pools") or ()]} for each in members
    ]
    return {**status, "used": 0, "members": calm}
