"""Services of WebSockets or streams with hardly a request: what their pools are tuned by.

There is no response whose time could be judged; but each message takes a connection from a pool, and waits for it. So
the wait p99 of each pool stands for the responses, and 8 % of the objective's limit, above which the wait for a
connection is high anyway (`core/laws/diagnose.py`), for the objective. As many checkouts are needed as requests
elsewhere. Worked example, objective 45 ms, 200 WebSockets and 9,000 checkouts in a window: `wait for postgres p99
12ms, objective 3.6ms`: the pool grows; with 20 connections of which 3 are needed it is given back.

Workers are left to a person: a stream stays on the worker that took it, so that one more takes nothing off the
others for as long as the streams last, and one fewer ends some.
"""

from collections.abc import Sequence
from dataclasses import replace

from paceline_operator.core.laws.diagnose import WAIT_SHARE
from paceline_operator.core.measure.histogram import merge
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.observe import PodWindow, observe
from paceline_operator.core.measure.responses import WAIT_FOR, Responses
from paceline_operator.core.model.objectives import P99, Target
from paceline_operator.core.model.policy import Objective, Policy
from paceline_operator.core.model.tunables import NOTHING


def observed(windows: Sequence[PodWindow], policy: Policy) -> Observation | None:
    """What pods did in their windows, as the policy's decisions see it; None where no pod counts."""
    found = observe(windows, policy.objective)
    if found is None:
        return None
    found = replace(found, open=sum(window.after.open for window in windows))
    return judged_by_waits(found, policy.objective, policy.behavior.min_samples)


def judged_by_waits(observation: Observation, objective: Objective | None, least: int) -> Observation:
    """The window, with the waits of its pools in place of responses where it has streams and fewer than `least`
    requests."""
    pools = {name: pool for name, pool in sorted(observation.pools.items()) if pool.wait.count}
    if objective is None or not pools or observation.requests >= least or not observation.streaming:
        return observation
    waits = [pool.wait for pool in pools.values()]
    limit, checkouts = WAIT_SHARE * objective.limit, sum(wait.count for wait in waits)
    responses = tuple(
        Responses(pool.wait, Target(limit, P99, f"{WAIT_FOR}{name}"), 1 / WAIT_SHARE) for name, pool in pools.items()
    )
    return replace(
        observation,
        requests=checkouts,
        errors=sum(pool.timeouts for pool in pools.values()),
        requests_per_second=checkouts / observation.window_seconds,
        duration=merge(waits),
        responses=responses,
        by_waits=True,
        busiest=None,
        mix=NOTHING,
        each=NOTHING,
    )
