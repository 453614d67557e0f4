"""The two classic mistakes of async code, each next to its cure. What catches them: docs/pitfalls.md.

Each mistake carries on its line the mark that silences its checker. `make check` fails where such a mark is needless:
so also when a checker no longer sees the mistake.
"""

import asyncio
import time
from typing import Final

notes: Final[list[str]] = []
"""What was saved."""


async def blocking(seconds: float) -> None:
    """Mistake: nothing else in this process runs meanwhile, no request and no timer."""
    time.sleep(seconds)  # noqa: ASYNC251 - the mistake


async def blocking_in_a_thread(seconds: float) -> None:
    """Cure, where the call cannot be changed: a library without async, a file on a slow disk."""
    await asyncio.to_thread(time.sleep, seconds)


async def waiting(seconds: float) -> None:
    """Cure, where there is an async way."""
    await asyncio.sleep(seconds)


async def save(note: str) -> None:
    """Something that matters, with a wait in it."""
    await asyncio.sleep(0)
    notes.append(note)


async def forgotten_await(note: str) -> None:
    """Mistake: makes a coroutine and drops it. Nothing is saved, and nobody is told."""
    save(note)  # type: ignore[unused-coroutine]  # the mistake


async def awaited(note: str) -> None:
    """Cure."""
    await save(note)
