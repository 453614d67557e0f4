"""`kubectl paceline pause | resume | rollback`: the annotations of a policy, written by whoever asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.looking import cluster_seen_by
from paceline_operator.cluster.policies import annotate, annotations_of_namespace, policy_named
from paceline_operator.crd.switches import BASELINE, PAUSED, ROLLBACK, read_switches
from paceline_operator.errors import OperatorError
from paceline_operator.ports import PlatformRefused, PlatformUnavailable, PolicyKey


async def pause(key: PolicyKey) -> str:
    """Nothing moves on the policy until `resume`."""
    async with _cluster() as server:
        await annotate(server, key, {PAUSED: "true"})
    return f"{key}: paused; pods keep what they run. `kubectl paceline resume {key}` ends it"


async def resume(key: PolicyKey) -> str:
    """Ends a pause and a rollback of the policy; says so where its namespace still has one."""
    async with _cluster() as server:
        await annotate(server, key, {PAUSED: None, ROLLBACK: None})
        try:
            namespace = await annotations_of_namespace(server, key.namespace)
        except PlatformRefused:
            namespace = {}  # whoever may write a policy may not always read its namespace
    left = [f"{name}={namespace[name]}" for name in (PAUSED, ROLLBACK) if name in namespace]
    if left:
        return f"{key}: its own switches are off; namespace {key.namespace} still has {', '.join(left)}"
    return f"{key}: neither paused nor held; it is tuned as its policy says"


async def rollback(key: PolicyKey, to: str) -> str:
    """The values of a generation, or what pods start with, come back and stay until `resume`.

    Raises:
        InvalidSpec: the generation is not known; the message has those that are.
    """
    async with _cluster() as server:
        policy = await policy_named(server, key)
        held = read_switches({ROLLBACK: to}, {}, policy.status).held
        await annotate(server, key, {ROLLBACK: to})
    label = held.label if held else BASELINE
    return f"{key}: goes back to {label} and stays there. `kubectl paceline resume {key}` ends it"


@asynccontextmanager
async def _cluster() -> AsyncIterator[ApiServer]:
    try:
        async with cluster_seen_by("kubectl-paceline") as (server, _):
            yield server
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error
