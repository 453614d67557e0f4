"""Whose doing is it that containers ended after a change? Pods are counted, not restarts, and only what ended since.

A change is blamed where more than a tenth of the pods that have it saw a container end since; where workers were added,
a kill for memory in more than one pod in fifty is enough. Pods that were failing when the change was made do not count:
they were not ready, or a container had ended within half an hour and not for the first time. Where more than a fifth of
the pods were failing, all of them count.

| pods | since the change | verdict |
| --- | --- | --- |
| 200 | one restarted | not the change |
| 10 | one restarted | not the change |
| 10 | two restarted | blamed |
| 10 | one was killed for memory, workers 2→4 | blamed |
| 3 | one restarted that had restarted 40 times before, five minutes before the change | not the change |
| 3 | one restarted that had never restarted | blamed |
| 1 of 6 tries it | it restarted, and so did 2 of the 5 others | not the change |
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Pending
from paceline_operator.core.situation.situation import Member, Situation

RESTARTED: Final = 0.1
"""Share of the pods that may restart for their own reasons while a change is judged."""
KILLED: Final = 0.02
"""Share of the pods that may be killed for memory after workers were added: that is what adding workers does."""
LATELY: Final = timedelta(minutes=30)
MOST_FAILING: Final = 0.2
MOST_LISTED: Final = 50


def blamed(situation: Situation, pending: Pending) -> tuple[Reason, str] | None:
    """The reason to take a change back and what happened; None where no restart is due to it."""
    members = [member for member in situation.fleet.members if _counts(member, pending)]
    restarted = [member for member in members if _restarted(member, pending)]
    killed = [member for member in restarted if _killed(member, pending)]
    if grew(pending) and len(killed) > KILLED * len(members) and not _elsewhere_too(situation, pending, _killed):
        return Reason.OUT_OF_MEMORY, _sentence(killed, members, "killed for memory")
    if len(restarted) <= RESTARTED * len(members) or _elsewhere_too(situation, pending, _restarted):
        return None
    if len(killed) > len(restarted) / 2:
        return Reason.OUT_OF_MEMORY, _sentence(killed, members, "killed for memory")
    return Reason.ROLLED_BACK, _sentence(restarted, members, "restarted")


def grew(pending: Pending) -> bool:
    """Whether the change added workers, each of which takes memory."""
    return any(change.tunable == WORKERS and change.new > (change.old or 0.0) for change in pending.changes)


def failing(situation: Situation) -> tuple[str, ...]:
    """Uids of the pods that are failing now; empty where so many are that it says nothing of single ones."""
    members = situation.fleet.members
    found = tuple(member.uid for member in members if not member.ready or _keeps_ending(situation, member))
    return found if len(found) <= min(MOST_LISTED, MOST_FAILING * len(members)) else ()


def _keeps_ending(situation: Situation, member: Member) -> bool:
    return any(end.restarts > 1 and end.finished > situation.now - LATELY for end in member.ended)


def _counts(member: Member, pending: Pending) -> bool:
    return member.uid not in pending.failing and (not pending.tried_on or member.uid in pending.tried_on)


def _elsewhere_too(situation: Situation, pending: Pending, ended: Callable[[Member, Pending], bool]) -> bool:
    """Whether pods end in this way that do not try the change, too: then it is not what ends them."""
    if not pending.tried_on:
        return False
    others = [each for each in situation.fleet.members if each.uid not in {*pending.tried_on, *pending.failing}]
    return sum(ended(each, pending) for each in others) > RESTARTED * len(others)


def _restarted(member: Member, pending: Pending) -> bool:
    return any(end.finished > pending.since for end in member.ended)


def _killed(member: Member, pending: Pending) -> bool:
    return any(end.out_of_memory and end.finished > pending.since for end in member.ended)


def _sentence(found: list[Member], members: list[Member], what: str) -> str:
    return f"{len(found)} of {len(members)} pods {what} since"
