"""Where logs go: ours to stderr and to no handler of the application, whose own configuration wins."""

import io
import json
import logging
import logging.config
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext
from paceline.settings import ServeSettings, Settings
from paceline.telemetry.logs import (
    access_log_wanted,
    configure,
    current_request,
    reopen_files,
    server_loggers_kept,
    settle,
)
from paceline.telemetry.tracing import log_fields

log = logging.getLogger("paceline.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """Each test has logging as a fresh interpreter has it; the test runner's own handlers are put back."""
    hook, last, root = sys.excepthook, logging.lastResort, logging.getLogger()
    names = (
        "paceline",
        "gunicorn",
        "uvicorn",
        "gunicorn.error",
        "uvicorn.error",
        "uvicorn.access",
        "py.warnings",
        "shop",
        "shop.orders",
        "shopping",
    )
    loggers = [root, *map(logging.getLogger, names)]
    everything = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    disabled = [(each, each.disabled) for each in everything]  # dictConfig disables loggers that it does not name
    before = [(each, each.handlers[:], each.level, each.propagate, each.__class__) for each in loggers]
    for each in loggers:
        each.handlers[:], each.level, each.propagate, each.disabled = [], logging.NOTSET, True, False
    root.__class__, root.level = logging.RootLogger, logging.WARNING
    yield
    for each, handlers, level, propagate, kind in before:
        each.__class__ = kind
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)
    for each, was_disabled in disabled:
        each.disabled = was_disabled
    sys.excepthook, logging.lastResort = hook, last
    logging.captureWarnings(False)


def settings(log_format: str) -> Settings:
    return Settings(serve=ServeSettings(log_format=log_format))


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def record(logger: str, created: float) -> logging.LogRecord:
    made = logging.LogRecord(logger, logging.WARNING, "", 0, "away", None, None)
    made.created = created
    return made


def configured(role: str = "worker", log_format: str = "json", level: str = "info", **more: Any) -> io.StringIO:
    """Configures; the test runner's own handlers, which it adds before each test, are no application's."""
    root, stream = logging.getLogger(), io.StringIO()
    root.handlers[:] = [each for each in root.handlers if not type(each).__module__.startswith("_pytest")]
    configure(role, Settings(serve=ServeSettings(log_format=log_format, log_level=level)), stream=stream, **more)
    return stream


def test_a_line_is_one_json_object_with_stable_fields() -> None:
    stream = configured(generation=lambda: 17)
    log.info("pool %s\nshrinks", "postgres", extra={"pool": "postgres", "limit": 3})
    [line] = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "paceline.test",
        "message": "pool postgres\nshrinks",
        "process": "worker",
        "pid": os.getpid(),
        "generation": 17,
        "pool": "postgres",
        "limit": 3,
    }


def test_the_time_is_utc_with_milliseconds() -> None:
    stream = configured()
    log.handle(record("paceline.test", 1_700_000_000.0625))
    assert lines(stream)[0]["time"] == "2023-11-14T22:13:20.062Z"


def test_an_exception_is_part_of_its_line() -> None:
    stream = configured()
    try:
        raise LookupError("gone")
    except LookupError:
        log.exception("lost")
    [line] = lines(stream)
    assert line["message"] == "lost"
    assert line["exception"].endswith("LookupError: gone")


def test_extra_fields_cannot_replace_the_stable_ones() -> None:
    stream = configured()
    log.info("x", extra={"pid": 1, "level": "none", "odd": object()})
    [line] = lines(stream)
    assert (line["pid"], line["level"]) == (os.getpid(), "info")
    assert line["odd"].startswith("<object")


@pytest.mark.parametrize(
    ("scope", "request_id"),
    [
        pytest.param({"headers": [(b"x-request-id", b"from-ingress")]}, "from-ingress", id="as it came in"),
        pytest.param(
            {"headers": [(b"x-request-id", b"x")], "state": {"request_id": "ours"}}, "ours", id="as the app says"
        ),
        pytest.param({"headers": []}, None, id="none"),
        pytest.param({"headers": [(b"x-request-id", b"\xff" * 999)]}, "ÿ" * 128, id="no text and too long"),
    ],
)
def test_a_line_within_a_request_has_its_id(scope: dict[str, Any], request_id: str | None) -> None:
    stream = configured()
    token = current_request.set(scope)
    log.info("x")
    current_request.reset(token)
    log.info("x")
    within, after = lines(stream)
    assert within.get("requestId") == request_id
    assert "requestId" not in after


def test_a_line_within_a_span_has_its_ids() -> None:
    stream = configured(trace_fields=log_fields)
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, False))
    token = context.attach(trace.set_span_in_context(span))
    log.info("x")
    context.detach(token)
    [line] = lines(stream)
    assert (line["traceId"], line["spanId"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")


def test_text_where_a_person_watches() -> None:
    stream = Terminal()
    configure("agent", settings("auto"), stream=stream)
    log.warning("refused")
    assert stream.getvalue().endswith(f"agent[{os.getpid()}] WARNING refused\n")


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("text", io.StringIO, False),
    ],
)
def test_the_format_follows_the_setting(log_format: str, stream: type[io.StringIO], is_json: bool) -> None:
    made = stream()
    configure("agent", settings(log_format), stream=made)
    log.info("x")
    assert made.getvalue().startswith("{") is is_json


def test_configuring_again_after_fork_replaces_our_handler_only() -> None:
    theirs = io.StringIO()
    first = configured("arbiter")
    logging.getLogger().addHandler(logging.StreamHandler(theirs))
    second = configured("worker")
    log.info("ours")
    logging.getLogger("shop").warning("theirs")
    assert (len(lines(first)), [line["process"] for line in lines(second)]) == (0, ["worker"])
    assert theirs.getvalue() == "theirs\n", "and ours in none of its handlers"


def test_an_application_without_a_configuration_logs_with_us() -> None:
    stream = configured()
    logging.getLogger("shop").info("sold")
    logging.getLogger("shop").debug("not said")
    assert [line["message"] for line in lines(stream)] == ["sold"]


def test_basic_config_works_as_without_us() -> None:
    stream, theirs = configured(), io.StringIO()
    logging.basicConfig(stream=theirs, format="theirs %(message)s")
    logging.getLogger("shop").info("below the default level")
    logging.getLogger("shop").warning("sold")
    log.warning("ours")
    configured()
    assert theirs.getvalue() == "theirs sold\n"
    assert [line["message"] for line in lines(stream)] == ["ours"]


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_the_level_that_the_application_sets_is_obeyed(level: str) -> None:
    configured()
    theirs = io.StringIO()
    handler = {"class": "logging.StreamHandler", "stream": theirs}
    root = {"level": level, "handlers": ["h"]}
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "handlers": {"h": handler}, "root": root}
    )
    configured()
    for number in (10, 20, 30, 40):
        logging.getLogger("shop").log(number, "%s", logging.getLevelName(number))
    everything = ["DEBUG", "INFO", "WARNING", "ERROR"]
    assert theirs.getvalue().split() == everything[everything.index(level) :]


def test_a_level_without_handlers_is_obeyed_too() -> None:
    configured()
    logging.getLogger().setLevel(logging.WARNING)
    stream = configured()
    logging.getLogger("shop").info("not said")
    logging.getLogger("shop").warning("said")
    assert [line["message"] for line in lines(stream)] == ["said"]


def test_a_configuration_that_disables_existing_loggers_does_not_disable_ours() -> None:
    stream = configured()
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    assert log.disabled
    settle()
    log.info("here")
    logging.getLogger("uvicorn.error").error("failed")
    assert [line["message"] for line in lines(stream)] == ["here", "failed"]


def test_a_handler_that_the_application_gives_a_server_logger_stays_its_own() -> None:
    stream, theirs = configured(), io.StringIO()
    logging.getLogger("uvicorn.access").addHandler(logging.StreamHandler(theirs))
    settle()
    assert access_log_wanted()
    with server_loggers_kept():
        logging.getLogger("uvicorn.access").handlers = []
    configured()
    logging.getLogger("uvicorn.access").info("GET /")
    assert (theirs.getvalue(), stream.getvalue()) == ("GET /\n", "")


def test_a_handler_without_a_level_gets_what_it_would_get_without_us() -> None:
    """The level of loggers that have no handler is ours; theirs is the root logger's own default."""
    stream, theirs = configured(), io.StringIO()
    logging.getLogger("shop").addHandler(logging.StreamHandler(theirs))
    settle()
    for name in ("shop", "shop.orders"):
        logging.getLogger(name).info("not said")
        logging.getLogger(name).warning("%s", name)
    logging.getLogger("shopping").info("ours to write")
    assert theirs.getvalue().split() == ["shop", "shop.orders"]
    assert [line["message"] for line in lines(stream)] == ["ours to write"]
    logging.getLogger().setLevel(logging.INFO)
    settle()
    logging.getLogger("shop").info("by the root's level")
    assert theirs.getvalue().endswith("by the root's level\n")
    logging.getLogger("shop").setLevel(logging.ERROR)
    settle()
    assert logging.getLogger("shop").level == logging.ERROR


def test_a_level_above_a_handler_stays() -> None:
    configured()
    theirs = io.StringIO()
    logging.getLogger("shop").setLevel(logging.DEBUG)
    logging.getLogger("shop.orders").addHandler(logging.StreamHandler(theirs))
    settle()
    logging.getLogger("shop.orders").debug("said")
    assert theirs.getvalue() == "said\n"


def test_handlers_in_any_sequence_and_shared_lists_do_no_harm() -> None:
    stream, theirs = configured(), io.StringIO()
    logging.getLogger("uvicorn.error").handlers = (logging.StreamHandler(theirs),)  # type: ignore[assignment]
    shared = logging.getLogger("uvicorn").handlers
    logging.getLogger("shop").handlers = shared
    settle()
    configured()
    logging.getLogger("uvicorn.error").error("failed")
    assert theirs.getvalue() == "failed\n"
    assert logging.getLogger("shop").handlers is shared
    logging.getLogger("shop").warning("sold")
    assert [line["message"] for line in lines(stream)] == ["sold"]


def test_an_excepthook_of_the_applications_stays() -> None:
    configured("arbiter")
    sys.excepthook = hook = lambda *_: None
    configured("worker")
    assert sys.excepthook is hook


def test_a_stream_that_would_not_wait_for_its_reader_waits() -> None:
    """Such as a pipe that the application has given to asyncio; a full one would lose lines, or halves of them."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb") as reader, open(writing, "w") as stream:
        configure("worker", settings("json"), stream=stream)
        reading_thread = Thread(target=lambda: taken.extend(iter(reader.readline, b"")))
        taken: list[bytes] = []
        expected = [f"{number} {'x' * 3000}" for number in range(200)]
        reading_thread.start()
        for message in expected:
            log.info(message)
        stream.close()
        reading_thread.join()
    assert [json.loads(line)["message"] for line in taken] == expected


@pytest.mark.parametrize("level", ["debug", "INFO", "error"])
def test_the_level_is_a_setting(level: str) -> None:
    stream = configured(level=level)
    for number in (10, 20, 40):
        log.log(number, "x")
        logging.getLogger("shop").log(number, "y")
    assert len(lines(stream)) == {"debug": 6, "INFO": 4, "error": 2}[level]


@pytest.mark.parametrize("name", ["gunicorn.error", "uvicorn.error", "uvicorn"])
def test_the_servers_log_in_the_same_form(name: str) -> None:
    server = logging.getLogger(name)
    theirs = io.StringIO()
    server.addHandler(logging.StreamHandler(theirs))
    server.propagate = False
    stream = configured()
    server.warning("worker timeout")
    assert [line["logger"] for line in lines(stream)] == [name]
    assert theirs.getvalue() == "", "and once only"


def test_warnings_and_uncaught_exceptions_are_lines_too() -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    sys.excepthook(OSError, OSError("disk"), None)
    warning, uncaught = lines(stream)
    assert warning["logger"] == "py.warnings"
    assert uncaught["level"] == "critical"
    assert "OSError: disk" in uncaught["exception"]


def test_opentelemetry_complains_once_a_minute() -> None:
    stream = configured()
    exporter = logging.getLogger("opentelemetry.exporter.test")
    for second in range(0, 121, 5):
        exporter.handle(record(exporter.name, 1000.0 + second))
        log.info("x")
    said = [line for line in lines(stream) if line["logger"] == exporter.name]
    assert len(said) == 3
    assert len(lines(stream)) == 3 + 25


def test_a_rotated_file_gets_no_more_lines(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    handler = logging.FileHandler(path, mode="w")
    logger = logging.getLogger("test.rotation")
    logger.addHandler(handler)
    try:
        logger.warning("one")
        path.rename(tmp_path / "app.log.1")
        reopen_files()
        logger.warning("two")
        reopen_files()
        logger.warning("three")
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert (tmp_path / "app.log.1").read_text() == "one\n"
    assert path.read_text() == "two\nthree\n"
