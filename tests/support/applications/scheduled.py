"""Something that must run once a pod. It takes a witness file exclusively; JOB_NOTES is a folder with what happened."""

import asyncio
import os
from pathlib import Path
from typing import Any

from paceline import tune

NOTES = Path(os.environ["JOB_NOTES"])


@tune.once_per_pod
async def schedule() -> None:
    note("began")
    if (NOTES / "fail").exists():
        (NOTES / "fail").unlink()
        raise RuntimeError("as the test asked")
    take_witness()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.2)  # it takes a moment to stop; nobody may begin meanwhile
        (NOTES / "running").unlink()
        note("ended")


def take_witness() -> None:
    try:
        descriptor = os.open(NOTES / "running", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        former = int((NOTES / "running").read_text())
        if alive(former):
            note(f"overlaps {former}")
        (NOTES / "running").unlink()  # whoever was killed left it behind
        return take_witness()
    os.write(descriptor, str(os.getpid()).encode())
    os.close(descriptor)
    return None


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def note(what: str) -> None:
    with (NOTES / "notes").open("a") as notes:
        notes.write(f"{os.getpid()} {what}\n")


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                note("shut down")
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
