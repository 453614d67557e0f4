"""What `paceline check` finds out: how an application would behave under `paceline serve`. Runs in its own interpreter.

It does what a worker does, without listening: loads the application, runs its lifespan once (unless told not to), and
looks what is there.
"""

import asyncio
import gc
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn

from paceline import tune
from paceline.asgi import Receive, Scope, Send
from paceline.errors import PacelineError, UsageError
from paceline.middleware.response_cache.security_schemes import undeclared_credentials
from paceline.resources.pools.places import Places
from paceline.resources.pools.threads import NAME as THREADS
from paceline.resources.pools.threads import register_threads
from paceline.resources.pools.untuned import POOLS, Untuned, untuned
from paceline.resources.random_generators import generators, seed_sequences
from paceline.serve.arbiter.preload import fork_hazards, load_application, open_files
from paceline.serve.arbiter.shared_generators import settle_generators
from paceline.settings import load_settings

NO_LIFESPAN: Final = "--no-lifespan"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, in the order in which it is told."""

    target: str
    start_values: Mapping[str, Any]
    pools: Mapping[str, Any]
    fork_hazards: Sequence[str]
    lifespan_tasks: Sequence[str]
    jobs: Sequence[str]
    shared: Sequence[str] = ()
    """What workers would have in common, and that does not switch preload off."""
    started: bool = True
    """Whether its lifespan was run."""
    untuned: Sequence[Untuned] = ()
    """Pools that are not tuned, as far as they exist once the application has started."""
    undeclared_credentials: Sequence[str] = ()
    """Security schemes of cached routes that the cache's key knows nothing of."""
    cache_notes: Mapping[str, str] = field(default_factory=dict)
    compiled_routes: Sequence[str] = ()
    """What `paceline.fastapi` has compiled, and what it has not."""


def examine(target: str, *, lifespan: bool = True) -> Findings:
    """Loads the application; starts it and ends it again if `lifespan` is to be run.

    Raises:
        UsageError: it does not load, or its start-up fails.
    """
    tune.tunables.serve(target, load_settings())
    generators_before, files_before = [*generators(), *seed_sequences()], open_files()
    places = Places(POOLS)
    places.watch()
    application = load_application(target)
    hazards = [*fork_hazards(), *settle_generators(target, generators_before)]
    shared = [f"the position in the open file {path}" for path in open_files() if path not in files_before]
    findings = asyncio.run(_start(target, application, hazards, places, lifespan=lifespan))
    return replace(findings, shared=tuple(shared))


async def _without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for an application whose start-up is not wanted."""
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


class _Lifespan(LifespanOn):
    failure = "no reason given"

    async def send(self, message: Any) -> None:
        if lines := message.get("message", "").strip().splitlines():
            self.failure = lines[-1]  # frameworks send the whole traceback, the error itself comes last
        await super().send(message)


async def _start(target: str, application: Any, hazards: Sequence[str], places: Places, *, lifespan: bool) -> Findings:
    started = _Lifespan(
        Config(application if lifespan else _without_lifespan, interface="asgi3", log_config=None, log_level="critical")
    )
    tune.tunables.runs_jobs = True  # as in a worker: there a single one of the pod runs them
    before = asyncio.all_tasks()
    await started.startup()
    if started.should_exit:
        raise UsageError(f"{target} loads, but its start-up fails: {started.failure}; start it to see the whole error")
    register_threads(tune.tunables)
    # The lifespan itself runs in a task of the server's, which is no task of the application's.
    names = {_coroutine(task) for task in asyncio.all_tasks() - before} - {LifespanOn.main.__qualname__}
    gc.collect()  # pools that are garbage are nobody's
    jobs = tuple(job.name for job in tune.tunables.jobs)
    findings = Findings(
        target,
        tune.tunables.start_values(),
        tune.tunables.report()["pools"],
        tuple(hazards),
        tuple(sorted(names)),
        jobs,
        started=lifespan,
        untuned=untuned(gc.get_objects(), places.of),
        undeclared_credentials=undeclared_credentials(application, gc.get_objects()),
        cache_notes=tune.tunables.notes(),
        compiled_routes=_compiled_routes(),
    )
    await started.shutdown()
    return findings


def _compiled_routes() -> Sequence[str]:
    """Nothing is imported for an application that does not use it."""
    listing = sys.modules.get("paceline.fastapi") and importlib.import_module("paceline.fastapi.listing")
    return listing.described(gc.get_objects()) if listing else ()


def _coroutine(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", repr(coroutine))


def describe(findings: Findings) -> list[str]:
    """The findings as lines for a person."""
    lines = [_beginning(findings)]
    pools, caches = findings.start_values["pools"], findings.start_values["caches"]
    lines += [f"pool {name}: {limit} of at most {findings.pools[name]['cap']}" for name, limit in pools.items()]
    lines += [f"cache {name}: TTL {cache['ttlSeconds']:g} s" for name, cache in caches.items()]
    lines += [f"cache {name}: {note}" for name, note in findings.cache_notes.items()]
    if not pools.keys() - {THREADS} and not caches:
        tunable = "workers and threads" if pools else "the worker count"
        lines.append(f"no pool and no cache is registered: only {tunable} can be tuned (see paceline.tune)")
    lines += [_untuned_line(each) for each in findings.untuned]
    lines += findings.undeclared_credentials
    lines += findings.compiled_routes
    lines += [f"alive before fork: {hazard}; preload will be off" for hazard in findings.fork_hazards]
    lines += [f"shared by workers after preload: {what}" for what in findings.shared]
    lines += [f"runs once in every worker: {name}, started in the lifespan" for name in findings.lifespan_tasks]
    lines += [f"runs once in the pod: {name}" for name in findings.jobs]
    return lines


def _untuned_line(pools: Untuned) -> str:
    number = f"{pools.count} × " if pools.count > 1 else ""
    made = f", made at {', '.join(pools.places)}" if pools.places else ""
    way = (
        "hand it to tune.pool"
        if pools.tunable
        else "tune.pool does not take it; name its server in PACELINE_UNPOOLED, or no worker is added"
    )
    return f"not tuned: {number}{pools.kind}{made}; every worker has one of its own, of any size: {way}"


def _beginning(findings: Findings) -> str:
    if findings.started:
        return f"{findings.target} loads and starts (its lifespan was run once; --no-lifespan leaves it out)"
    return f"{findings.target} loads (its lifespan was not run: what that makes or starts is not listed)"


def main(arguments: Sequence[str]) -> int:
    """Entry of `python -m paceline.check MODULE:APP [--no-lifespan]`."""
    try:
        findings = examine(arguments[0], lifespan=NO_LIFESPAN not in arguments)
    except PacelineError as error:
        sys.stderr.write(f"paceline: error: {error}\n")
        return error.exit_status
    sys.stdout.write("\n".join(describe(findings)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
