"""One pass over one policy: gather → decide → apply → report. Level-based: every pass reads everything anew."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from paceline_operator.core.model.decision import Decision, Reason
from paceline_operator.core.model.policy import Mode, Policy
from paceline_operator.core.verdict.canary import without_trial
from paceline_operator.core.verdict.pending import remember
from paceline_operator.crd.checkpoint import Checkpoint
from paceline_operator.crd.intent import render_intent
from paceline_operator.crd.v1alpha1 import operator_class
from paceline_operator.errors import InvalidSpec
from paceline_operator.figures import Figures, unheard
from paceline_operator.loop.act import end_trial, to_apply, wait_for_acks, write_document
from paceline_operator.loop.gather import Gathered, fleet_of, gather
from paceline_operator.loop.journal import Journal, decision_line, logged, traced
from paceline_operator.loop.looks import look, planned
from paceline_operator.loop.recall import noted, recall, written, written_down
from paceline_operator.loop.report import Outcome, Reporter, decided
from paceline_operator.loop.rooms import lacking_room, with_rooms
from paceline_operator.loop.summary import decided_of, figures_of, not_ready_of, observed_of
from paceline_operator.loop.think import think
from paceline_operator.loop.track import Track
from paceline_operator.loop.understand import NotReady, invalid, understand
from paceline_operator.ports import (
    Budgets,
    Conflict,
    NoTracer,
    Platform,
    PlatformRefused,
    PolicyKey,
    PolicyResource,
    Span,
    TargetNotFound,
    TargetRef,
    Telemetry,
    Tracer,
)
from paceline_operator.settings import OperatorSettings

AT_ONCE: Final = timedelta(milliseconds=100)
"""After a conflict: what was read is old, so read again."""
HEALED: Final = timedelta(hours=1)
"""Between two times that a document is written anew because of a few of the pods."""


class Reconciler:
    """Wired once per process; keeps nothing of a policy but where its measuring windows began and what is not yet
    written down of what they taught."""

    def __init__(
        self,
        platform: Platform,
        telemetry: Telemetry,
        *,
        now: Callable[[], datetime],
        settings: OperatorSettings,
        tracer: Tracer | None = None,
        journal: Journal = logged,
        budgets: Budgets | None = None,
        figures: Figures = unheard,
    ) -> None:
        """`now` gives aware UTC time; `journal` takes one line for each decision, `figures` each pass in numbers.
        Without `budgets`, there are none."""
        self._budgets = budgets
        self._figures = figures
        self._platform = platform
        self._telemetry = telemetry
        self._now = now
        self._settings = settings
        self._tracer = tracer or NoTracer()
        self._reporter = Reporter(platform)
        self._journal = journal
        self._tracks: dict[PolicyKey, Track] = {}
        self._thinking = asyncio.Lock()

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        """One pass; returns when to come again. A set `woken` ends the wait for acks.

        Where nobody `called`, and pods that have not acked are all that is waited for, only they are asked.

        Raises:
            PlatformUnavailable: the platform did not respond; what was not written yet is decided again.
        """
        if not called and (wait := await self._look(key)) is not None:
            return wait
        with self._tracer.span("reconcile", policy=str(key)) as span:
            resource = await self._platform.policy(key)
            if resource is None or resource.deleting:
                await self._part(key)
                span.set(gone=True)
                return timedelta(seconds=self._settings.idle_seconds)
            if operator_class(resource.spec) != self._settings.operator_class:
                # Another operator's by now, which goes on from what is stored, trials included: nothing is written.
                self._forget(key)
                return timedelta(seconds=self._settings.idle_seconds)
            try:
                return await self._pass(resource, span, woken)
            except Conflict:
                return AT_ONCE
            except PlatformRefused as refusal:
                span.set(reason=refusal.reason.value)
                return await self._not_ready(resource, NotReady(refusal.reason, str(refusal)))
            except NotReady as problem:
                span.set(reason=problem.reason.value)
                return await self._not_ready(resource, problem)

    async def write_down(self) -> None:
        """Stores what was learnt of every policy since its checkpoint was written: for an orderly stop; best effort."""
        known = [(key, track.recalled) for key, track in self._tracks.items() if track.recalled is not None]
        async with asyncio.TaskGroup() as writing:
            for key, recalled in known:
                writing.create_task(written_down(self._platform, key, recalled, self._now()))

    async def _look(self, key: PolicyKey) -> timedelta | None:
        track = self._tracks.get(key)
        if track is None or track.looks is None or not track.looks.missing or self._now() >= track.looks.due:
            return None
        track.looks = await look(self._telemetry, track.looks)
        return track.looks.wait(self._now()) if track.looks else None

    async def _part(self, key: PolicyKey) -> None:
        """The document stays: pods keep their values, and a policy that comes back goes on from them. Only what single
        pods try is taken back, since nobody will judge it; where it cannot be told whether they do, they keep it."""
        track = self._tracks.get(key)
        if track is not None:
            with contextlib.suppress(Conflict, TargetNotFound):
                await end_trial(self._platform, self._telemetry, key, track.target)
        self._forget(key)

    def _forget(self, key: PolicyKey) -> None:
        self._tracks.pop(key, None)
        self._reporter.forget(key)
        self._figures(key, None)

    async def _pass(self, resource: PolicyResource, span: Span, woken: asyncio.Event | None) -> timedelta:
        policy, target = await understand(self._platform, resource)
        track = self._tracks.setdefault(resource.key, Track(self._now(), target))
        track.target = target
        with self._tracer.span("observe") as observing:
            recalled = await recall(self._platform, resource, track.recalled, self._now())
            gathered = await self._gather(resource, policy, target, recalled.present)
            observing.set(**observed_of(gathered))
        track.recalled = replace(recalled, present=gathered.checkpoint)
        healed = track.healed is not None and self._now() - track.healed < HEALED
        gathered = replace(gathered, healed=healed)
        outcome = await self._decide(gathered, span)
        decision = to_apply(gathered, outcome)
        if decision is not None:
            held = await lacking_room(self._platform, self._budgets, gathered, outcome.values, decision)
            outcome, decision = (outcome, decision) if held is None else (replace(outcome, decision=held), None)
        if decision is not None:
            track.healed = self._now() if outcome.thought.rewrite else track.healed
            return await self._apply(gathered, outcome, decision, span, woken)
        await self._report(resource, outcome)
        if outcome.decision is not None:
            self._journal(decision_line(resource.key, outcome, outcome.decision, self._now()))
        return self._next(gathered, outcome)

    async def _gather(
        self, resource: PolicyResource, policy: Policy, target: TargetRef, checkpoint: Checkpoint
    ) -> Gathered:
        try:
            gathered = await gather(self._platform, self._telemetry, resource, policy, target, checkpoint)
            return await with_rooms(self._budgets, gathered)
        except TargetNotFound as error:
            raise NotReady(Reason.TARGET_NOT_FOUND, str(error)) from error
        except InvalidSpec as error:
            raise invalid(error) from error

    async def _not_ready(self, resource: PolicyResource, problem: NotReady) -> timedelta:
        try:
            status = await self._reporter.not_ready(resource, problem.reason, str(problem), self._now())
            self._figures(resource.key, not_ready_of(problem, status))
        except Conflict:
            return AT_ONCE
        return timedelta(seconds=self._settings.idle_seconds)

    async def _decide(self, gathered: Gathered, span: Span) -> Outcome:
        now, resource = self._now(), gathered.resource
        track = self._tracks[resource.key]
        if gathered.states:
            track.reported = now
        mode = gathered.policy.mode.capped(Mode(self._settings.max_mode))
        age = (now - track.reported).total_seconds()
        with self._tracer.span("decide") as deciding:
            # In a thread, so that probes and events are handled meanwhile; one at a time, since each thread that
            # computes makes them wait for the interpreter's lock.
            async with self._thinking:
                thought = await asyncio.to_thread(
                    think,
                    gathered,
                    track.window,
                    now,
                    mode=mode,
                    telemetry_age_seconds=age,
                    explain=deciding.traceparent is not None,
                )
            deciding.set(**decided_of(thought))
            if thought.decision is not None:
                span.set(reason=thought.decision.reason.value)
        return Outcome(
            thought=thought,
            mode=mode,
            switches=gathered.switches,
            fleet=thought.situation.fleet,
            values=thought.values,
            memory=thought.memory,
            decision=thought.decision,
            document=gathered.document,
            missing=gathered.missing,
            trace_id=span.traceparent.split("-")[1] if span.traceparent else None,
        )

    async def _apply(
        self, gathered: Gathered, outcome: Outcome, decision: Decision, span: Span, woken: asyncio.Event | None
    ) -> timedelta:
        generation, resource = gathered.next_generation, gathered.resource
        memory = remember(outcome.thought.situation, without_trial(outcome.memory), decision, generation)
        outcome = replace(
            outcome, values=decision.common(outcome.values), memory=memory, decision=decision, applied=True
        )
        intent = render_intent(decided(outcome, decision, generation), memory, self._now())
        with self._tracer.span("apply", generation=generation):
            gathered = await write_document(
                self._platform, gathered, outcome.values, decision.overrides, span.traceparent, intent
            )
        span.set(generation=generation)
        # Nobody can have acked what has just been written.
        outcome = replace(outcome, fleet=replace(fleet_of(gathered), left_out=outcome.fleet.left_out))
        await self._report(resource, outcome)
        return await self._propagate(gathered, outcome, woken)

    async def _propagate(self, gathered: Gathered, outcome: Outcome, woken: asyncio.Event | None) -> timedelta:
        with self._tracer.span("propagate") as span:
            gathered = await wait_for_acks(
                self._telemetry,
                gathered,
                span,
                woken=woken,
                poll=timedelta(seconds=self._settings.ack_poll_seconds),
                longest=timedelta(seconds=self._settings.ack_wait_seconds),
            )
            fleet = fleet_of(gathered)
            span.set(applied=fleet.applied, pods=fleet.total)
        if outcome.decision is not None:
            acked = replace(outcome, fleet=fleet)
            self._journal(decision_line(gathered.resource.key, acked, outcome.decision, self._now()))
        resource = await self._platform.policy(gathered.resource.key)
        if resource is None or (resource.uid, resource.generation) != (
            gathered.resource.uid,
            gathered.resource.generation,
        ):
            return AT_ONCE
        # The decision and its window were told with the change itself.
        situation = replace(outcome.thought.situation, observation=None)
        track = self._tracks[resource.key]
        window = track.window.advanced(gathered.states, self._now(), gathered.policy.behavior.settle)
        settled = replace(
            outcome,
            thought=replace(outcome.thought, situation=situation, window=window, urgent=True),
            fleet=fleet,
            decision=None,
            applied=False,
        )
        await self._report(resource, settled)
        return AT_ONCE if woken is not None and woken.is_set() else self._next(gathered, settled)

    async def _report(self, resource: PolicyResource, outcome: Outcome) -> None:
        track, now = self._tracks[resource.key], self._now()
        assert track.recalled is not None  # the pass began with it
        recalled, news = noted(track.recalled, outcome, now)
        recalled = await written(self._platform, resource, recalled, now)
        outcome = replace(outcome, refused=recalled.refused)
        status = await self._reporter.outcome(resource, outcome, now, news=news)
        figures = figures_of(outcome, status)
        self._figures(resource.key, figures)
        if figures.verdict is not None:
            traced(self._tracer, figures.verdict, outcome.document)
        track.recalled, track.window = recalled, outcome.thought.window

    def _next(self, gathered: Gathered, outcome: Outcome) -> timedelta:
        behavior, track, now = gathered.policy.behavior, self._tracks[gathered.resource.key], self._now()
        wait = outcome.thought.window.next_look(now, behavior.settle, behavior.interval)
        if outcome.fleet.converged:
            track.looks = None
            return wait
        track.looks = planned(gathered, outcome.fleet.generation, track.looks, now + wait)
        return track.looks.wait(now)
