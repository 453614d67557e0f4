"""The trial itself. Nothing stays: the policy and, if there was none before, the tuning document are deleted, and pods
run what they ran; one that was killed is taken back by the next. What a policy tunes already is only looked at.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import aiohttp

from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.looking import cluster_seen_by
from paceline_operator.cluster.objects import living, read_pods
from paceline_operator.cluster.patches import API_VERSION
from paceline_operator.cluster.policies import policies_in
from paceline_operator.cluster.refusals import Missing
from paceline_operator.errors import OperatorError
from paceline_operator.ports import PlatformUnavailable, PolicyKey
from paceline_operator.trial.choice import Trial, TrialFailed, behind, noted, read_note, responding, trial_for
from paceline_operator.trial.load import load

NAME: Final = "paceline-trial"
NOTE: Final = "paceline.dev/trial"
"""Annotation of that policy: what is to be taken back."""
DEADLINE_SECONDS: Final = 120.0
BACK_SECONDS: Final = 15.0
"""For the way back of one that failed or was stopped: a pod that is deleted has half a minute."""
_LOOK_SECONDS: Final = 0.5

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is tried, and how."""

    key: PolicyKey
    """Namespace and name of the Deployment."""
    url: str | None = None
    """Asked all the time meanwhile; None: nothing is."""
    operator_class: str | None = None
    changes: bool = True
    """False: the pods are only looked at, since the operator may change nothing."""


async def run(asked: Asked, say: Say) -> None:
    """One trial. Told to stop (SIGTERM), it takes back what it did.

    Raises:
        TrialFailed: what went wrong, after everything was taken back.
        OperatorError: the API server did not respond, or refuses.
    """
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    try:
        async with cluster_seen_by("trial") as (server, _), aiohttp.ClientSession() as http:
            policy = await _policy_on(server, asked.key)
            if policy is None and asked.changes:
                await _try(server, http, asked, say)
                return
            why = f"policy {policy} tunes it already" if policy else "the operator may change nothing (maxMode)"
            count = len(responding(await _states(server, http, asked.key)))
            say(f"{asked.key} is left alone, {why}: {count} pods respond")
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error
    except asyncio.CancelledError as error:
        raise TrialFailed("told to stop before it was over; what was changed was taken back") from error


async def _try(server: ApiServer, http: aiohttp.ClientSession, asked: Asked, say: Say) -> None:
    await _take_back_left_over(server, http, asked, say)
    trial = trial_for(await _states(server, http, asked.key))
    had_document = await _exists(server, _document(asked.key))
    note = noted(trial, had_document=had_document)
    async with load(http, asked.url) as counts:
        await _there_and_back(server, http, asked, trial, note, say)
    if counts.failed:
        raise TrialFailed(f"{counts.failed} of {counts.sent} requests to {asked.url} failed meanwhile: {counts.why}")
    told = f"{counts.sent} requests meanwhile, none failed" if asked.url else "no address: nothing was asked meanwhile"
    say(told)


async def _there_and_back(
    server: ApiServer, http: aiohttp.ClientSession, asked: Asked, trial: Trial, note: str, say: Say
) -> None:
    is_back = False
    try:
        for value in (trial.during, trial.before):
            took = await _pin(server, http, asked, trial, value, note)
            say(f"{trial.label} is {value} in every pod of {asked.key}, after {took:.1f} s")
        is_back = True
    finally:
        if not is_back:
            with suppress(TrialFailed):
                await _pin(server, http, asked, trial, trial.before, note, seconds=BACK_SECONDS)
        await _clean(server, asked.key, note)


async def _take_back_left_over(server: ApiServer, http: aiohttp.ClientSession, asked: Asked, say: Say) -> None:
    """A trial that was killed has left its policy in force."""
    path = f"{_policies(asked.key)}/{NAME}"
    if not await _exists(server, path):
        return
    annotations = (await server.get(path))["metadata"].get("annotations") or {}
    note = annotations.get(NOTE, "")
    trial, _ = read_note(note)
    await _pin(server, http, asked, trial, trial.before, note)
    await _clean(server, asked.key, note)
    say(f"an interrupted trial was taken back: {trial.label} is {trial.before} again")


async def _clean(server: ApiServer, key: PolicyKey, note: str) -> None:
    await _deleted(server, f"{_policies(key)}/{NAME}")
    _, had_document = read_note(note)
    if not had_document:
        await _deleted(server, _document(key))


async def _pin(
    server: ApiServer,
    http: aiohttp.ClientSession,
    asked: Asked,
    trial: Trial,
    value: int,
    note: str,
    *,
    seconds: float = DEADLINE_SECONDS,
) -> float:
    """Seconds until every pod ran it. Raises TrialFailed."""
    began = monotonic()
    await _apply(server, asked, trial.spec(value), note)
    while missing := behind(await _states(server, http, asked.key), trial, value):
        if monotonic() > began + seconds:
            said = await _said(server, asked.key)
            raise TrialFailed(f"{trial.label} is not {value} within {seconds:g} s in {', '.join(missing)}: {said}")
        await asyncio.sleep(_LOOK_SECONDS)
    return monotonic() - began


async def _apply(server: ApiServer, asked: Asked, pinned: Mapping[str, Any], note: str) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": asked.key.name}
    spec = {"targetRef": target, "mode": "Auto", "behavior": {"interval": "5s"}, **pinned}
    spec |= {"operatorClass": asked.operator_class} if asked.operator_class else {}
    path = f"{_policies(asked.key)}/{NAME}"
    if await _exists(server, path):
        await server.merge(path, {"spec": spec})
    else:
        metadata = {"name": NAME, "namespace": asked.key.namespace, "annotations": {NOTE: note}}
        await server.create(
            _policies(asked.key),
            {"apiVersion": API_VERSION, "kind": "TuningPolicy", "metadata": metadata, "spec": spec},
        )


async def _said(server: ApiServer, key: PolicyKey) -> str:
    """What the policy's conditions say that are not as they should be."""
    status = (await server.get(f"{_policies(key)}/{NAME}")).get("status") or {}
    wrong = [each for each in status.get("conditions") or () if each.get("status") == "False"]
    told = [f"{each.get('type')}: {each.get('message')}" for each in wrong]
    if not status:
        return "the policy has no status: does an operator run, and does it watch this namespace?"
    return "; ".join(told) or "its status names nothing that is wrong: is the namespace paused, or the mode capped?"


async def _policy_on(server: ApiServer, key: PolicyKey) -> str | None:
    """Whoever tunes the Deployment already."""
    for policy in await policies_in(server, key.namespace):
        target = policy.spec.get("targetRef") or {}
        if policy.key.name != NAME and (target.get("kind", "Deployment"), target.get("name")) == (
            "Deployment",
            key.name,
        ):
            return policy.key.name
    return None


async def _states(
    server: ApiServer, http: aiohttp.ClientSession, key: PolicyKey
) -> dict[str, Mapping[str, Any] | None]:
    """Of each pod that is not on its way out."""
    namespace = quote(key.namespace, "")
    deployment = await server.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{quote(key.name, '')}")
    labels = ",".join(f"{name}={value}" for name, value in deployment["spec"]["selector"]["matchLabels"].items())
    found = await server.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=labels)
    pods = [pod for pod in read_pods(living(found["items"])) if not pod.terminating]
    states = await asyncio.gather(*(_state(http, pod.state_url) for pod in pods))
    return {pod.name: state for pod, state in zip(pods, states, strict=True)}


async def _state(http: aiohttp.ClientSession, url: str | None) -> Mapping[str, Any] | None:
    if url is None:
        return None
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
            state: Mapping[str, Any] = await response.json()
            return state
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


async def _exists(server: ApiServer, path: str) -> bool:
    try:
        await server.get(path)
    except Missing:
        return False
    return True


async def _deleted(server: ApiServer, path: str) -> None:
    with suppress(Missing):
        await server.delete(path)


def _policies(key: PolicyKey) -> str:
    return f"/apis/{API_VERSION}/namespaces/{quote(key.namespace, '')}/tuningpolicies"


def _document(key: PolicyKey) -> str:
    return f"/api/v1/namespaces/{quote(key.namespace, '')}/configmaps/{quote(f'{key.name}-tuning', '')}"
