"""The trial itself. Nothing stays: the policy and, if there was none before, the tuning document are deleted, and pods
run what they ran. A workload that a policy tunes already is only looked at.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
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
from paceline_operator.trial.choice import Trial, TrialFailed, behind, trial_for
from paceline_operator.trial.load import load

NAME: Final = "paceline-trial"
DEADLINE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.5

Say: TypeAlias = Callable[[str], None]


async def run(key: PolicyKey, url: str | None, operator_class: str | None, say: Say) -> None:
    """Tries it on the Deployment `key`. `url` is what is asked meanwhile; None: nothing is.

    Raises:
        TrialFailed: what went wrong, after everything was taken back.
        OperatorError: the API server did not respond, or refuses.
    """
    try:
        async with cluster_seen_by("trial") as (server, _), aiohttp.ClientSession() as http:
            policy = await _policy_on(server, key)
            if policy is not None:
                states = await _states(server, http, key)
                say(f"policy {policy} tunes {key} already and is left alone: {len(states)} pods respond")
                return
            await _try(server, http, key, url, operator_class, say)
    except PlatformUnavailable as error:
        raise OperatorError(str(error)) from error


async def _try(
    server: ApiServer, http: aiohttp.ClientSession, key: PolicyKey, url: str | None, class_: str | None, say: Say
) -> None:
    trial = trial_for(await _states(server, http, key))
    had_document = await _exists(server, _document(key))
    async with load(http, url) as counts:
        try:
            for value in (trial.during, trial.before):
                took = await _pin(server, http, key, trial, value, class_)
                say(f"{trial.label} is {value} in every pod of {key}, after {took:.1f} s")
        finally:
            await _deleted(server, f"{_policies(key)}/{NAME}")
            if not had_document:
                await _deleted(server, _document(key))
    if counts.failed:
        raise TrialFailed(f"{counts.failed} of {counts.sent} requests to {url} failed meanwhile: {counts.why}")
    say(
        f"{counts.sent} requests meanwhile, none failed" if url else "no address was given: nothing was asked meanwhile"
    )


async def _pin(
    server: ApiServer, http: aiohttp.ClientSession, key: PolicyKey, trial: Trial, value: int, class_: str | None
) -> float:
    """Seconds until every pod ran it. Raises TrialFailed."""
    began = monotonic()
    await _apply(server, key, trial.spec(value), class_)
    while missing := behind(await _states(server, http, key), trial, value):
        if monotonic() > began + DEADLINE_SECONDS:
            said = await _said(server, key)
            raise TrialFailed(
                f"{trial.label} is not {value} within {DEADLINE_SECONDS:g} s in {', '.join(missing)}: {said}"
            )
        await asyncio.sleep(_LOOK_SECONDS)
    return monotonic() - began


async def _apply(server: ApiServer, key: PolicyKey, pinned: Mapping[str, Any], class_: str | None) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": key.name}
    spec = {"targetRef": target, "mode": "Auto", "behavior": {"interval": "5s"}, **pinned}
    spec |= {"operatorClass": class_} if class_ else {}
    path = f"{_policies(key)}/{NAME}"
    if await _exists(server, path):
        await server.merge(path, {"spec": spec})
    else:
        metadata = {"name": NAME, "namespace": key.namespace}
        await server.create(
            _policies(key), {"apiVersion": API_VERSION, "kind": "TuningPolicy", "metadata": metadata, "spec": spec}
        )


async def _said(server: ApiServer, key: PolicyKey) -> str:
    """What the policy's conditions say that are not as they should be."""
    status = (await server.get(f"{_policies(key)}/{NAME}")).get("status") or {}
    wrong = [each for each in status.get("conditions") or () if each.get("status") == "False"]
    told = [f"{each.get('type')}: {each.get('message')}" for each in wrong]
    return "; ".join(told) or "the policy has no status: does an operator run, and does it watch this namespace?"


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


async def _states(server: ApiServer, http: aiohttp.ClientSession, key: PolicyKey) -> dict[str, Mapping[str, Any]]:
    """Of each pod that is ready, on its way nowhere, and responds."""
    deployment = await server.get(
        f"/apis/apps/v1/namespaces/{quote(key.namespace, '')}/deployments/{quote(key.name, '')}"
    )
    labels = ",".join(f"{name}={value}" for name, value in deployment["spec"]["selector"]["matchLabels"].items())
    found = await server.get(f"/api/v1/namespaces/{quote(key.namespace, '')}/pods", labelSelector=labels)
    pods = [pod for pod in read_pods(living(found["items"])) if not pod.terminating and pod.state_url]
    states = await asyncio.gather(*(_state(http, str(pod.state_url)) for pod in pods))
    return {pod.name: state for pod, state in zip(pods, states, strict=True) if state is not None}


async def _state(http: aiohttp.ClientSession, url: str) -> Mapping[str, Any] | None:
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
