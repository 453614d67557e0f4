"""The checkpoint of a policy between passes: read anew each time, written now and then, never a reason to fail.

What is stored counts, unless it is what this process wrote or read last: then what it has learnt since does.
"""

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime

from paceline_operator.crd.checkpoint import (
    Checkpoint,
    due,
    held,
    learnt,
    parse_checkpoint,
    render_checkpoint,
    taken_over,
)
from paceline_operator.errors import InvalidState
from paceline_operator.loop.report import Outcome, decided
from paceline_operator.ports import (
    Conflict,
    Platform,
    PlatformRefused,
    PlatformUnavailable,
    PolicyKey,
    PolicyResource,
    StoredCheckpoint,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recalled:
    """The checkpoint as stored, and as it is by now."""

    owner: str
    """Uid of the policy."""
    since: datetime
    """When it was read first, or written last."""
    version: str | None = None
    """Resource version of what is stored; None while there is nothing."""
    stored: Checkpoint | None = None
    """None as well where what is stored is another policy's, or cannot be read."""
    present: Checkpoint = field(default_factory=Checkpoint)
    foreign: bool = False
    """Whether what is stored is another policy's; it is written over."""
    refused: PlatformRefused | None = None
    """Why it could not be read or written in this pass."""


async def recall(platform: Platform, resource: PolicyResource, before: Recalled | None, now: datetime) -> Recalled:
    """What is remembered of the policy; `before` is what this process remembers, None at its first pass.

    Raises:
        PlatformUnavailable: the platform did not respond. Where it refuses, the memory of this process goes on.
    """
    if before is not None and before.owner != resource.uid:
        before = None
    try:
        found = await platform.checkpoint(resource)
    except PlatformRefused as refusal:
        return replace(before or _fresh(resource, None, now), refused=refusal)
    if before is not None and found.resource_version == before.version:
        return replace(before, refused=None)
    if found.content is None and before is not None:
        logger.warning("policy %s: its TuningCheckpoint is gone; it learns anew", resource.key)
    if found.content is None:
        return _fresh(resource, before, now)
    return _read(resource, found, now)


async def written(platform: Platform, resource: PolicyResource, recalled: Recalled, now: datetime) -> Recalled:
    """Writes the checkpoint if it is due. A write that fails is said, and costs no more than what was learnt.

    Compared and set: where somebody else has written it, the next pass goes on from that.
    """
    if recalled.refused is not None or not due(recalled.stored, recalled.present, now - recalled.since):
        return recalled
    try:
        content = render_checkpoint(recalled.present)
        version = await platform.write_checkpoint(resource, content, recalled.version)
    except (Conflict, PlatformUnavailable) as error:
        logger.warning("policy %s: its TuningCheckpoint was not written: %s", resource.key, error)
        if isinstance(error, PlatformRefused) and not recalled.foreign:
            return replace(recalled, refused=error)
        return recalled  # another's goes with its owner; some clusters let nobody change whose an object is
    return replace(recalled, stored=recalled.present, since=now, version=version, foreign=False)


async def written_down(platform: Platform, key: PolicyKey, recalled: Recalled, now: datetime) -> None:
    """Writes at once what is not stored yet, if anything; compared and set, and best effort: the process ends."""
    if recalled.present == (recalled.stored or Checkpoint()) or recalled.refused is not None:
        return
    try:
        resource = await platform.policy(key)
        if resource is not None and resource.uid == recalled.owner and not resource.deleting:
            await platform.write_checkpoint(resource, render_checkpoint(recalled.present), recalled.version)
    except (Conflict, PlatformUnavailable) as error:
        logger.warning("policy %s: its TuningCheckpoint was not written at the end: %s", key, error)


def noted(recalled: Recalled, outcome: Outcome, now: datetime) -> tuple[Recalled, bool]:
    """With what a pass has learnt and its hold, and whether its decision is news. Pure."""
    situation, decision, present = outcome.thought.situation, outcome.decision, recalled.present
    if outcome.memory != situation.memory:
        present = learnt(present, outcome.memory)
    if outcome.applied:
        return replace(recalled, present=replace(present, generation=outcome.fleet.generation)), True
    if decision is None:
        return replace(recalled, present=present), False
    told = decided(outcome, decision, outcome.fleet.generation)
    present, news = held(present, told, now, situation.policy.behavior.interval)
    return replace(recalled, present=present), news


def _fresh(resource: PolicyResource, before: Recalled | None, now: datetime) -> Recalled:
    """Without a checkpoint; an earlier version of the operator may have left its memory in the status."""
    fresh = Recalled(resource.uid, now)
    if before is None and resource.status.get("tuner"):
        logger.info("policy %s: its status holds the memory of an earlier version, which is taken over", resource.key)
        return replace(fresh, present=taken_over(resource.status))
    if before is None:
        logger.info("policy %s: there is no TuningCheckpoint yet; nothing is remembered", resource.key)
    return fresh


def _read(resource: PolicyResource, found: StoredCheckpoint, now: datetime) -> Recalled:
    unread = Recalled(resource.uid, now, found.resource_version)
    if found.foreign:
        logger.warning("policy %s: the TuningCheckpoint of its name is another's; it learns anew", resource.key)
        return replace(unread, foreign=True)
    try:
        checkpoint = parse_checkpoint(found.content or {})
    except InvalidState as error:
        logger.warning("policy %s: %s; it learns anew", resource.key, error)
        return unread
    return replace(unread, stored=checkpoint, present=checkpoint)
