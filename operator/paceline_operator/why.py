"""`paceline-operator why`: fetches one policy, from the cluster or from a folder, and has its history told."""

from datetime import UTC, datetime
from pathlib import Path

from paceline_operator.cluster.api_server import ApiServer, load_configuration
from paceline_operator.cluster.kubernetes import KubernetesPlatform
from paceline_operator.cluster.local import LocalPlatform
from paceline_operator.crd.history import changes_made, explain
from paceline_operator.errors import OperatorError, UsageError
from paceline_operator.ports import PlatformUnavailable, PolicyKey, PolicyResource
from paceline_operator.settings import OperatorSettings


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
        policy = await (_from_cluster(key) if folder is None else LocalPlatform(folder, now=lambda: at).policy(key))
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error
    if policy is None:
        raise UsageError(f"there is no TuningPolicy {key}: `kubectl get tuningpolicies --all-namespaces` lists them")
    return explain(str(key), changes_made(policy.status, at), at, jaeger)


async def _from_cluster(key: PolicyKey) -> PolicyResource | None:
    settings = OperatorSettings.from_environment()
    server = ApiServer(await load_configuration(), deadline_seconds=settings.api_timeout_seconds)
    try:
        platform = KubernetesPlatform(
            server,
            policies_of=lambda namespace, target: frozenset(),
            nudging=False,
            now=lambda: datetime.now(UTC),
            reporter="why",
        )
        return await platform.policy(key)
    finally:
        await server.close()
