"""The files between one pod's processes. Every write is atomic; readers poll `stat`, since inotify instances are few.

workers          the worker count, as text; the agent writes, the arbiter reads
effective.json   the values in force; the agent writes, every worker applies
reports/PID.json what a worker measured; the worker writes once a second, the agent merges
                 A worker writes its first report (step 0, not ready) before it first reads effective.json: so whoever
                 writes effective.json and then lists reports sees every process that may run something older.
terminating      exists once the pod stops; the supervisor writes (the arbiter if that is gone), the agent turns unready
running          exists while the pod runs, locked by the supervisor; left behind by an unclean exit
held             locked (shared) by agent, arbiter and workers: nobody else takes the folder until the last has ended
registered.json  start values and caps as workers reported them; the agent writes it and reads it in the pod's next life
progress.json    how far a change was carried out; the agent writes it before what follows from it, and resumes from it
retired.json     what workers that are gone have counted; the agent writes it, and resumes from it
reload           how often somebody asked to load the application anew; supervisor or arbiter write, the arbiter reads
reloaded         the last request that was decided, and the workers that run the former code; the arbiter writes it
processes.wanted exists once a worker asked for the pod's process pool; the agent starts it then, and again if it ends
processes.lock   locked by the pool's process, which may outlive the agent that started it
metrics/         what the application's processes count with prometheus_client; they write, the agent adds up
once.NAME        locked by the worker that runs the job NAME for the pod
unclean          exists if `running` was there when the pod started; the supervisor writes, the agent starts carefully

Calls to the process pool are pickles and go through no file: a pair of sockets, of which arbiter and agent inherit an
end each (`leave_calls`).
"""

import fcntl
import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from paceline.errors import InvalidDocument

if TYPE_CHECKING:
    from paceline.document.model import Values

_CALLS: Final = "PACELINE_PROCESS_CALLS"


@dataclass(frozen=True, slots=True)
class Effective:
    """What workers must run now. `step` grows with every write; a generation may take several steps."""

    generation: int
    step: int
    values: "Values"
    traceparent: str | None = None
    policy: str = ""


@dataclass(frozen=True)
class RunDir:
    """Paths, made once since they are looked at many times a second, and atomic reads and writes; knows no policy."""

    path: Path

    @cached_property
    def workers(self) -> Path:
        return self.path / "workers"

    @cached_property
    def effective(self) -> Path:
        return self.path / "effective.json"

    @cached_property
    def reports(self) -> Path:
        return self.path / "reports"

    @cached_property
    def terminating(self) -> Path:
        return self.path / "terminating"

    @cached_property
    def running(self) -> Path:
        return self.path / "running"

    @cached_property
    def held(self) -> Path:
        return self.path / "held"

    @cached_property
    def unclean(self) -> Path:
        return self.path / "unclean"

    @cached_property
    def metrics(self) -> Path:
        return self.path / "metrics"

    @cached_property
    def registered(self) -> Path:
        return self.path / "registered.json"

    @cached_property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @cached_property
    def reload(self) -> Path:
        return self.path / "reload"

    @cached_property
    def reloaded(self) -> Path:
        return self.path / "reloaded"

    @cached_property
    def retired(self) -> Path:
        return self.path / "retired.json"

    @cached_property
    def processes_wanted(self) -> Path:
        return self.path / "processes.wanted"

    @cached_property
    def processes_lock(self) -> Path:
        return self.path / "processes.lock"

    def once(self, name: str) -> Path:
        return self.path / f"once.{name}"

    def report(self, pid: int) -> Path:
        return self.reports / f"{pid}.json"

    def hold(self) -> int:
        """Holds the folder for this process and those that it forks: while one of them lives, no other pod takes it.

        Returns the descriptor of the lock, for a process that ends the hold before it ends.
        """
        descriptor = os.open(self.held, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    def write_workers(self, count: int) -> None:
        write_atomically(self.workers, str(count).encode())

    def read_workers(self) -> int | None:
        """The worker count asked for, or None before the agent has spoken."""
        try:
            return int(self.workers.read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def request_reload(self) -> None:
        """Asks the arbiter to load the application anew."""
        write_atomically(self.reload, str(self.read_reload() + 1).encode())

    def read_reload(self) -> int:
        """How often that was asked."""
        try:
            return int(self.reload.read_bytes())
        except (FileNotFoundError, ValueError):
            return 0

    def write_reloaded(self, request: int, former: Collection[int]) -> None:
        """Workers that start from now on run what was loaded for this request; those of `former` do not."""
        write_atomically(self.reloaded, f"{request} {' '.join(map(str, former))}".encode())

    def read_reloaded(self) -> tuple[int, frozenset[int]]:
        """The last request decided, and the pids of workers that run the former code."""
        try:
            request, *former = map(int, self.reloaded.read_bytes().split())
        except (FileNotFoundError, ValueError):
            return 0, frozenset()
        return request, frozenset(former)

    def write_effective(self, effective: Effective) -> None:
        wire = {
            "generation": effective.generation,
            "step": effective.step,
            "values": effective.values.to_json(),
            "traceparent": effective.traceparent,
            "policy": effective.policy,
        }
        write_atomically(self.effective, orjson.dumps(wire))

    def read_effective(self) -> Effective | None:
        """What workers must run, or None before the agent has spoken.

        Raises:
            InvalidDocument: somebody else has written the file.
        """
        # Here, because the supervisor needs the paths alone and pydantic would triple its memory (9 to 33 MB).
        from paceline.document.model import parse_values

        try:
            wire: dict[str, Any] = orjson.loads(self.effective.read_bytes())
            values = parse_values(wire["values"])
            return Effective(wire["generation"], wire["step"], values, wire["traceparent"], wire["policy"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidDocument(f"{self.effective.name} is not what the agent writes: {error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Readers see the old content or the new, never a part. Blocking, but short: meant for tmpfs."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file was replaced or written; None while it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def leave_calls(descriptor: int) -> None:
    """Before exec: the program that replaces this one inherits this end of the way to the process pool."""
    os.set_inheritable(descriptor, True)
    os.environ[_CALLS] = str(descriptor)


def take_calls() -> int | None:
    """The end that was left to this process, and that its children do not inherit; None if it was started by hand."""
    given = os.environ.pop(_CALLS, None)
    if given is None:
        return None
    os.set_inheritable(int(given), False)
    return int(given)


def says_ready(report: Path) -> bool:
    """Whether a worker's report says that it serves; no where it is gone or cannot be read."""
    try:
        return b'"ready":true' in report.read_bytes()
    except OSError:
        return False
