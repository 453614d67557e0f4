"""The loop over a modelled fleet: what happens to the world while a pass works on it."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import PlatformUnavailable, StoredCheckpoint

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda fleet: fleet.edit(workers={"value": 7}), id="edited"),
        pytest.param(lambda fleet: fleet.annotate(paused="true"), id="paused"),
        pytest.param(lambda fleet: fleet.resources.clear(), id="deleted"),
    ],
)
async def test_a_policy_that_changed_since_it_was_read_is_not_acted_on(
    change: Callable[[ModelledFleet], None], reconciler_of: Make
) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.after_read = lambda: change(fleet)

    wait = await reconciler_of(fleet).reconcile(KEY)

    assert wait.total_seconds() < 1
    assert fleet.document_writes == 0


async def test_a_document_that_changed_since_it_was_read_is_not_overwritten(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.before_write = lambda: setattr(fleet, "content", b"{}")

    wait = await reconciler_of(fleet).reconcile(KEY)

    assert wait.total_seconds() < 1
    assert (fleet.document_writes, fleet.content) == (0, b"{}")


async def test_the_status_of_a_change_survives_an_edit_and_speaks_of_the_spec_it_was_made_for(
    reconciler_of: Make,
) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.before_status = lambda: fleet.edit(workers={"value": 7})

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.status["tuning"]["generation"] == 1
    assert fleet.status["decisions"][-1]["reason"] == "PinnedBySpec"
    assert fleet.status["observedGeneration"] == 1


async def test_a_verdict_is_void_once_another_generation_is_in_force(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    reconciler = reconciler_of(fleet)
    while "pending" not in fleet.status:
        await drive(reconciler, fleet, 0.1)
    assert fleet.document_now is not None
    other = {**fleet.document_now, "generation": 9}
    fleet.content = json.dumps(other).encode()

    await reconciler.reconcile(KEY)

    assert "pending" not in fleet.status
    assert fleet.status["tuning"]["generation"] == 9


async def test_a_platform_that_does_not_answer_fails_the_pass(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.down = True

    with pytest.raises(PlatformUnavailable):
        await reconciler_of(fleet).reconcile(KEY)

    assert fleet.content is None


async def test_an_interrupted_wait_for_acks_comes_back_at_once(reconciler_of: Make) -> None:
    fleet, woken = ModelledFleet(PINNED), asyncio.Event()
    fleet.acking = False
    fleet.before_write = woken.set

    wait = await reconciler_of(fleet).reconcile(KEY, woken)

    assert wait.total_seconds() < 0.5


class _ReadBy(dict[str, Any]):
    """A memory that notes which thread reads it: the first step of every decision."""

    thread: threading.Thread | None = None

    def get(self, name: str, default: Any = None) -> Any:
        if name == "known":
            self.thread = threading.current_thread()
        return super().get(name, default)


async def test_a_decision_leaves_the_event_loop_to_others(reconciler_of: Make) -> None:
    fleet = ModelledFleet(CHOOSING)
    memory = _ReadBy(version=1)
    fleet.checkpoints[KEY] = StoredCheckpoint({"memory": memory}, "1")

    await reconciler_of(fleet).reconcile(KEY)

    assert memory.thread not in {None, threading.main_thread()}
