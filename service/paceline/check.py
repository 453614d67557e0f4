"""What `paceline check` finds out: how an application would behave under `paceline serve`. Runs in its own interpreter.

It does what a worker does, without listening: loads the application, runs its lifespan once, and looks what is there.
"""

import asyncio
import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn

from paceline import tune
from paceline.errors import PacelineError, UsageError
from paceline.middleware.response_cache.security_schemes import undeclared_credentials
from paceline.resources.pools.adapters import untuned
from paceline.resources.pools.threads import NAME as THREADS
from paceline.resources.pools.threads import register_threads
from paceline.serve.arbiter.preload import fork_hazards, load_application


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, in the order in which it is told."""

    target: str
    start_values: Mapping[str, Any]
    pools: Mapping[str, Any]
    fork_hazards: Sequence[str]
    lifespan_tasks: Sequence[str]
    jobs: Sequence[str]
    untuned: Sequence[str] = ()
    """Classes of pools that could be tuned and are not, as far as they exist once the application has started."""
    undeclared_credentials: Sequence[str] = ()
    """Security schemes of cached routes that the cache's key knows nothing of."""


def examine(target: str) -> Findings:
    """Loads and starts the application, then ends it again.

    Raises:
        UsageError: it does not load, or its start-up fails.
    """
    application = load_application(target)
    hazards = fork_hazards()
    return asyncio.run(_start(target, application, hazards))


class _Lifespan(LifespanOn):
    failure = "no reason given"

    async def send(self, message: Any) -> None:
        if lines := message.get("message", "").strip().splitlines():
            self.failure = lines[-1]  # frameworks send the whole traceback, the error itself comes last
        await super().send(message)


async def _start(target: str, application: Any, hazards: Sequence[str]) -> Findings:
    lifespan = _Lifespan(Config(application, interface="asgi3", log_config=None, log_level="critical"))
    tune.tunables.runs_jobs = True  # as in a worker: there a single one of the pod runs them
    before = asyncio.all_tasks()
    await lifespan.startup()
    if lifespan.should_exit:
        raise UsageError(f"{target} loads, but its start-up fails: {lifespan.failure}; start it to see the whole error")
    register_threads(tune.tunables)
    # The lifespan itself runs in a task of the server's, which is no task of the application's.
    names = {_coroutine(task) for task in asyncio.all_tasks() - before} - {LifespanOn.main.__qualname__}
    jobs = tuple(job.name for job in tune.tunables.jobs)
    findings = Findings(
        target,
        tune.tunables.start_values(),
        tune.tunables.report()["pools"],
        tuple(hazards),
        tuple(sorted(names)),
        jobs,
        untuned(gc.get_objects()),
        undeclared_credentials(application, gc.get_objects()),
    )
    await lifespan.shutdown()
    return findings


def _coroutine(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", repr(coroutine))


def describe(findings: Findings) -> list[str]:
    """The findings as lines for a person."""
    lines = [f"{findings.target} loads and starts"]
    pools, caches = findings.start_values["pools"], findings.start_values["caches"]
    lines += [f"pool {name}: {limit} of at most {findings.pools[name]['cap']}" for name, limit in pools.items()]
    lines += [f"cache {name}: TTL {cache['ttlSeconds']:g} s" for name, cache in caches.items()]
    if not pools.keys() - {THREADS} and not caches:
        tunable = "workers and threads" if pools else "the worker count"
        lines.append(f"no pool and no cache is registered: only {tunable} can be tuned (see paceline.tune)")
    lines += [
        f"not tuned: {kind}; every worker has one of its own, of any size: hand it to tune.pool"
        for kind in findings.untuned
    ]
    lines += findings.undeclared_credentials
    lines += [f"alive before fork: {hazard}; preload will be off" for hazard in findings.fork_hazards]
    lines += [f"runs once in every worker: {name}, started in the lifespan" for name in findings.lifespan_tasks]
    lines += [f"runs once in the pod: {name}" for name in findings.jobs]
    return lines


def main(arguments: Sequence[str]) -> int:
    """Entry of `python -m paceline.check MODULE:APP`."""
    try:
        findings = examine(arguments[0])
    except PacelineError as error:
        sys.stderr.write(f"paceline: error: {error}\n")
        return error.exit_status
    sys.stdout.write("\n".join(describe(findings)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
