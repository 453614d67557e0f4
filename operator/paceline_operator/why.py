"""`paceline-operator why`: fetches one policy, from the cluster or from a folder, and has its history told."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paceline_operator.cluster.local import LocalPlatform
from paceline_operator.cluster.looking import cluster_seen_by
from paceline_operator.crd.checkpoint import parse_checkpoint
from paceline_operator.crd.document import parse_document
from paceline_operator.crd.history import changes_made, explain
from paceline_operator.crd.intent import completed
from paceline_operator.crd.v1alpha1 import parse_target
from paceline_operator.errors import InvalidState, OperatorError, UsageError
from paceline_operator.ports import (
    Platform,
    PlatformRefused,
    PlatformUnavailable,
    PolicyKey,
    PolicyResource,
    TargetNotFound,
    TargetRef,
    Workload,
)


def parse_key(text: str) -> PolicyKey:
    """`NAMESPACE/NAME`. Raises UsageError."""
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise UsageError(f"{text!r} names no policy: write NAMESPACE/NAME")
    return PolicyKey(namespace, name)


def parse_instant(text: str | None, now: datetime) -> datetime:
    """A time as ISO 8601, or `HH:MM` of today, in UTC unless it says otherwise; None is `now`. Raises UsageError."""
    if text is None:
        return now
    try:
        time = datetime.fromisoformat(f"{now.date()}T{text}" if len(text) <= len("HH:MM:SS") else text)
    except ValueError as error:
        raise UsageError(f"--at {text!r} is no time: write 2026-01-31T14:05:00Z or 14:05 (UTC)") from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


async def tell(key: PolicyKey, at: datetime, *, folder: Path | None, jaeger: str | None) -> str:
    """What changed in the hour before `at`, and why.

    Raises:
        UsageError: there is no such policy, or no access to a cluster.
        OperatorError: the API server did not respond.
    """
    try:
        if folder is not None:
            return await _told(LocalPlatform(folder, now=lambda: at), key, at, jaeger)
        return await _told_of_cluster(key, at, jaeger)
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error


async def _told(platform: Platform, key: PolicyKey, at: datetime, jaeger: str | None) -> str:
    policy = await platform.policy(key)
    if policy is None:
        raise UsageError(f"there is no TuningPolicy {key}: `kubectl get tuningpolicies --all-namespaces` lists them")
    status, holds = await _status(platform, policy), await _holds(platform, policy)
    return explain(str(key), changes_made(status, at, holds), at, jaeger)


async def _status(platform: Platform, policy: PolicyResource) -> Mapping[str, Any]:
    """With the change that the tuning document carries, where the operator ended before it could write it down."""
    target = parse_target(policy.spec)
    if target is None:
        return policy.status
    try:
        stored = await platform.document(_named(policy.key.namespace, target))
        document = None if stored.content is None else parse_document(stored.content)
    except (PlatformRefused, TargetNotFound, InvalidState):
        return policy.status  # whoever asks may not be allowed to read it
    return completed(policy.status, document, str(policy.key))


def _named(namespace: str, target: TargetRef) -> Workload:
    """Of a workload, no more than its document is found by."""
    return Workload(namespace, target.api_version, target.kind, target.name, "", 0, False, ())


async def _holds(platform: Platform, policy: PolicyResource) -> Sequence[Mapping[str, Any]]:
    """Empty where they cannot be read: they only tell what came of the last change."""
    try:
        return parse_checkpoint((await platform.checkpoint(policy)).content or {}).holds
    except (PlatformRefused, InvalidState):
        return ()


async def _told_of_cluster(key: PolicyKey, at: datetime, jaeger: str | None) -> str:
    async with cluster_seen_by("why") as (_, platform):
        return await _told(platform, key, at, jaeger)
