"""What `paceline serve` does before the pod's first process runs: checks what was asked, then becomes the supervisor.

Nothing is started here and nothing imported from the application; whatever is wrong is said in one line.
"""

import logging
import os
import signal
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from paceline.errors import UsageError
from paceline.serve import deadlines
from paceline.serve.addresses import check_free, parse_address
from paceline.serve.binds import Inherited, Tcp, check_binds, parse_binds
from paceline.serve.processes import handover
from paceline.serve.rundir import RunDir
from paceline.serve.supervisor import pid_file
from paceline.serve.supervisor.folder import claim_run_folder
from paceline.serve.supervisor.signals import TAKEN
from paceline.serve.supervisor.sizing import AUTO, Sizing, sized
from paceline.serve.target import complete
from paceline.settings import ServeSettings, load_settings
from paceline.telemetry import logs
from paceline.telemetry.cgroup import cores, find_cgroup
from paceline.telemetry.export_protocol import check_protocol

logger = logging.getLogger("paceline.serve")

BIND: Final = "PACELINE_BIND"
WORKERS: Final = "PACELINE_WORKERS"
_STANDARD_STREAMS: Final = 3
_FIRST_OF_SYSTEMD: Final = 3
_EVERYWHERE: Final = {"0.0.0.0", "::"}


def serve(
    application: str, written: Mapping[str, str], notes: Sequence[str] = (), warnings: Sequence[str] = ()
) -> NoReturn:
    """Replaces this process by the supervisor of `application`. Settings are in the environment by now.

    Args:
        application: MODULE:APP, or a call that makes one.
        written: how each variable of ours was written, for messages.
        notes: what is to be said first.
        warnings: likewise, of what somebody may count on.

    Raises:
        UsageError: names the option or variable that is wrong and what to do.
    """
    # What comes from now on waits for the supervisor: a SIGHUP, say, would end this process without a word.
    signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    open_standard_streams()
    target = complete(application)
    notes = [*notes, *take_inherited(os.environ, written)]
    chosen = choose_workers(os.environ, written)
    everything = load_settings(written)
    check_protocol(everything.opentelemetry)
    settings = everything.serve
    check_settings(settings)
    folder, lock = claim_run_folder(settings.run_dir)
    os.environ["PACELINE_RUN_DIR"] = str(folder)
    if settings.app_metrics:
        # prometheus_client reads it when it is imported, which the application does.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(RunDir(folder).metrics)
    calls = handover.make()
    command = supervisor_command(target, settings, folder, lock, calls, temporary=settings.run_dir is None)
    if sys.stderr is not None and (chosen or notes or warnings):  # None: it was closed when Python started
        logs.configure("supervisor", everything)
        _say(chosen, notes, warnings)
    if settings.pid_file is not None:
        pid_file.write(settings.pid_file)
    if sys.stdout is not None:  # None: it was closed when Python started
        sys.stdout.flush()
    for descriptor in (lock, *calls, *inherited(settings)):
        os.set_inheritable(descriptor, True)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def _say(chosen: Sizing | None, notes: Sequence[str], warnings: Sequence[str]) -> None:
    for warning in warnings:
        logger.warning("%s", warning)
    for note in notes:
        logger.info("%s", note)
    if chosen is not None:
        logger.info("--workers auto: %d (%s); every pool is opened once in each", chosen.workers, chosen.why)


def choose_workers(environment: MutableMapping[str, str], written: Mapping[str, str] | None = None) -> Sizing | None:
    """Replaces `auto` by what it comes to, so that all processes of the pod have one number; None where it is not asked
    for."""
    if environment.get(WORKERS, "").strip().lower() != AUTO:
        return None
    environment[WORKERS] = "1"  # what else is wrong is said first
    cap = load_settings(written).serve.max_workers
    found = sized(find_cgroup(), cores(), cap)
    environment[WORKERS] = str(found.workers)
    if found.at_once is not None:
        environment.setdefault("PACELINE_WORKERS_AT_ONCE", str(found.at_once))
    return found


def open_standard_streams() -> None:
    """Opens those that whoever started this has closed: the next file or socket would be taken for standard error."""
    for descriptor in range(_STANDARD_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(opened, True)


def take_inherited(environment: MutableMapping[str, str], written: Mapping[str, str]) -> list[str]:
    """Sockets of systemd (`LISTEN_FDS`) become the addresses, and `fd://0` to `fd://2`, which supervisors use, move to
    where no standard stream is.

    Returns:
        A line where the addresses that somebody wrote are not used.
    """
    said: list[str] = []
    given, pid = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    if given.isdigit() and int(given) and pid == str(os.getpid()):
        if environment.get(BIND):
            name = written.get(BIND, BIND)
            said.append(f"{name} is not used: the sockets of systemd (LISTEN_FDS) are the addresses")
        environment[BIND] = ",".join(f"fd://{_FIRST_OF_SYSTEMD + number}" for number in range(int(given)))
    elif given and pid != str(os.getpid()):
        environment.update({"LISTEN_FDS": given, "LISTEN_PID": pid})  # somebody else's
    parts = environment.get(BIND, "").split(",")
    for number in range(_STANDARD_STREAMS):
        if (word := f"fd://{number}") in parts:
            parts[parts.index(word)] = f"fd://{_moved(number)}"
            environment[BIND] = ",".join(parts)
    return said


def _moved(number: int) -> int:
    try:
        return os.dup(number)
    except OSError as error:
        raise UsageError(f"--bind fd://{number} is no socket that this process was given: {error.strerror}") from error


def inherited(settings: ServeSettings) -> list[int]:
    """Descriptors of sockets that whoever started us has opened."""
    binds = parse_binds(settings.bind, option="--bind")
    return [bind.number for bind in binds if isinstance(bind, Inherited)]


def check_settings(settings: ServeSettings) -> None:
    """Raises UsageError for what each setting alone cannot see: ports in use, limits that contradict each other."""
    if settings.workers > settings.max_workers:
        raise UsageError(
            f"{settings.workers} workers are more than the cap of {settings.max_workers};"
            " lower --workers or raise PACELINE_MAX_WORKERS"
        )
    binds = parse_binds(settings.bind, option="--bind")
    management = parse_address(settings.management_bind, option="--management-bind")
    if any(isinstance(bind, Tcp) and _meet(bind, Tcp(*management)) for bind in binds):
        raise UsageError(
            f"--bind {settings.bind} and --management-bind {settings.management_bind} meet; choose two ports"
        )
    check_binds(binds, option="--bind")
    check_free(management, option="--management-bind")


def _meet(one: Tcp, other: Tcp) -> bool:
    return one.port == other.port and (one.host == other.host or bool({one.host, other.host} & _EVERYWHERE))


def supervisor_command(
    target: str, settings: ServeSettings, folder: Path, lock: int, calls: tuple[int, int], *, temporary: bool
) -> list[str]:
    """The command line of the resident process; it reads no settings, so that it needs no pydantic."""
    stop = deadlines.arbiter_stop_seconds(settings.keepalive_seconds, settings.graceful_timeout_seconds)
    # -P: a module of the application's folder must not replace one of the standard library.
    command = [
        sys.executable,
        "-P",
        "-m",
        "paceline.serve.supervisor",
        target,
        "--run-dir",
        str(folder),
        "--lock",
        str(lock),
        "--calls",
        *map(str, calls),
    ]
    command += ["--termination-delay", f"{settings.termination_delay_seconds:g}", "--stop", f"{stop:g}"]
    if sockets := inherited(settings):
        command += ["--sockets", *map(str, sockets)]
    if settings.pid_file is not None:
        command += ["--pid-file", str(settings.pid_file.absolute())]
    return [*command, "--temporary"] if temporary else command
