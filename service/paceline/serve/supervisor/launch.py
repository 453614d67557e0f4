"""What `paceline serve` does before the pod's first process runs: checks what was asked, then becomes the supervisor.

Nothing is started here and nothing imported from the application; whatever is wrong is said in one line.
"""

import logging
import os
import re
import signal
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final, NoReturn

from paceline.errors import UsageError
from paceline.serve import deadlines
from paceline.serve.addresses import check_free, parse_address
from paceline.serve.processes import handover
from paceline.serve.rundir import RunDir
from paceline.serve.supervisor.folder import claim_run_folder
from paceline.serve.supervisor.signals import TAKEN
from paceline.serve.supervisor.sizing import AUTO, Sizing, sized
from paceline.settings import ServeSettings, load_settings
from paceline.telemetry import logs
from paceline.telemetry.cgroup import cores, find_cgroup
from paceline.telemetry.export_protocol import check_protocol

logger = logging.getLogger("paceline.serve")

WORKERS: Final = "PACELINE_WORKERS"
_STANDARD_STREAMS: Final = 3
_TARGET: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def serve(application: str, overrides: Mapping[str, str]) -> NoReturn:
    """Replaces this process by the supervisor of `application`.

    Args:
        application: MODULE:APP.
        overrides: settings given on the command line, by environment variable.

    Raises:
        UsageError: names the option or variable that is wrong and what to do.
    """
    # What comes from now on waits for the supervisor: a SIGHUP, say, would end this process without a word.
    signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    open_standard_streams()
    check_target(application)
    os.environ.update(overrides)
    chosen = choose_workers(os.environ)
    everything = load_settings()
    check_protocol(everything.opentelemetry)
    settings = everything.serve
    check_settings(settings)
    folder, lock = claim_run_folder(settings.run_dir)
    os.environ["PACELINE_RUN_DIR"] = str(folder)
    if settings.app_metrics:
        # prometheus_client reads it when it is imported, which the application does.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(RunDir(folder).metrics)
    calls = handover.make()
    command = supervisor_command(application, settings, folder, lock, calls, temporary=settings.run_dir is None)
    if chosen is not None:
        logs.configure("supervisor", everything)
        logger.info("--workers auto: %d (%s); every pool is opened once in each", chosen.workers, chosen.why)
    if sys.stdout is not None:  # None: it was closed when Python started
        sys.stdout.flush()
    for descriptor in (lock, *calls):
        os.set_inheritable(descriptor, True)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def choose_workers(environment: MutableMapping[str, str]) -> Sizing | None:
    """Replaces `auto` by what it comes to, so that all processes of the pod have one number; None where it is not asked
    for."""
    if environment.get(WORKERS, "").strip().lower() != AUTO:
        return None
    environment[WORKERS] = "1"  # what else is wrong is said first
    cap = load_settings().serve.max_workers
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


def check_target(application: str) -> None:
    """Raises UsageError unless it reads MODULE:APP."""
    if not _TARGET.fullmatch(application):
        raise UsageError(
            f"{application!r} does not name an application; write MODULE:APP, for instance shop.main:app"
            " for the object `app` in shop/main.py"
        )


def check_settings(settings: ServeSettings) -> None:
    """Raises UsageError for what each setting alone cannot see: ports in use, limits that contradict each other."""
    if settings.workers > settings.max_workers:
        raise UsageError(
            f"{settings.workers} workers are more than the cap of {settings.max_workers};"
            " lower --workers or raise PACELINE_MAX_WORKERS"
        )
    serving = parse_address(settings.bind, option="--bind")
    management = parse_address(settings.management_bind, option="--management-bind")
    if serving == management:
        raise UsageError(f"--bind and --management-bind are both {settings.bind}; choose two ports")
    check_free(serving, option="--bind")
    check_free(management, option="--management-bind")


def supervisor_command(
    application: str, settings: ServeSettings, folder: Path, lock: int, calls: tuple[int, int], *, temporary: bool
) -> list[str]:
    """The command line of the resident process; it reads no settings, so that it needs no pydantic."""
    stop = deadlines.arbiter_stop_seconds(settings.keepalive_seconds, settings.graceful_timeout_seconds)
    # -P: a module of the application's folder must not replace one of the standard library.
    command = [
        sys.executable,
        "-P",
        "-m",
        "paceline.serve.supervisor",
        application,
        "--run-dir",
        str(folder),
        "--lock",
        str(lock),
        "--calls",
        *map(str, calls),
    ]
    command += ["--termination-delay", f"{settings.termination_delay_seconds:g}", "--stop", f"{stop:g}"]
    return [*command, "--temporary"] if temporary else command
