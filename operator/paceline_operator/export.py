"""`paceline-operator export`: fetches a policy, and prints the values in force as what is kept in Git."""

from datetime import UTC, datetime
from pathlib import Path

from paceline_operator.cluster.local import LocalPlatform
from paceline_operator.cluster.looking import cluster_seen_by
from paceline_operator.cluster.policies import policy_named
from paceline_operator.crd.exported import Format, exported
from paceline_operator.errors import OperatorError, UsageError
from paceline_operator.ports import PlatformUnavailable, PolicyKey


async def export(key: PolicyKey, form: Format, folder: Path | None) -> str:
    """The values in force, as text.

    Raises:
        UsageError: there is no such policy, or nothing in force yet.
        OperatorError: the API server did not respond, or refuses.
    """
    if folder is not None:
        found = await LocalPlatform(folder, now=lambda: datetime.now(UTC)).policy(key)
        if found is None:
            raise UsageError(f"{folder} has no TuningPolicy {key}")
        return exported(found, form)
    try:
        async with cluster_seen_by("export") as (server, _):
            return exported(await policy_named(server, key), form)
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error
