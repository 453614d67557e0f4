"""`python -m paceline_api.jobs`: the welcome mail arrives, whoever dies on the way, at least once."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from email import message_from_bytes
from email.message import Message
from functools import partial
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx2
import psutil
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from collector import Collector, collecting
from opentelemetry import context, trace
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from paceline_api import outbox
from paceline_api.errors import ConfigurationError
from paceline_api.jobs.worker import work
from paceline_api.settings import Settings
from serving import eventually, eventually_async, free_ports, serve_command, serving

Start = Callable[[Settings], AbstractAsyncContextManager[httpx2.AsyncClient]]


SECONDS = 60.0  # a busy machine takes its time to start a process
PATIENT = {"API_MAIL_STALLED_SECONDS": "100"}
"""Nobody begins a job anew because a busy machine kept its process from saying that it lives."""

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


class MailServer:
    """Takes mails on a loopback port and answers each with the next of `answers`, else 250, once it is released."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.answers: list[str] = []
        self.released = threading.Event()
        self.released.set()

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 # aiosmtpd's name
        response = self.answers.pop(0) if self.answers else "250 OK"
        if response.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content or b""))
        await asyncio.to_thread(self.released.wait)
        return response

    def to(self, email: str) -> list[Message]:
        return [mail for mail in self.mails if mail["To"] == email]


@contextmanager
def listening(server: MailServer) -> Iterator[str]:
    (port,) = free_ports(1)
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{port}"
    finally:
        server.released.set()
        controller.stop()


@pytest.fixture
def mail_server() -> MailServer:
    return MailServer()


@pytest.fixture
def smtp_url(mail_server: MailServer) -> Iterator[str]:
    with listening(mail_server) as url:
        yield url


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        "DATABASE_URL": settings.postgres.url.get_secret_value(),
        "REDIS_URL": settings.redis.url.get_secret_value(),
        "API_MAIL_SENDER": "Shop <hello@shop.example>",
        "API_MAIL_RETRY_SECONDS": "0",
        "API_MAIL_STALLED_SECONDS": "1",
        "API_JOBS_STOP_SECONDS": "0.5",
    }


@asynccontextmanager
async def working(environment: dict[str, str], log: Path) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """The command, until the end of the block."""
    process = await asyncio.to_thread(_start, environment, log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 15)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


def _start(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as stderr:
        command = [sys.executable, "-m", "paceline_api.jobs"]
        return subprocess.Popen(command, env={**os.environ, **environment}, stderr=stderr)


@pytest.fixture(autouse=True)
async def no_jobs(migrated_dsn: str) -> None:
    """What other tests have left in the outbox would be sent here."""
    connection = await asyncpg.connect(migrated_dsn)
    await connection.execute("DELETE FROM procrastinate_jobs")
    await connection.close()


async def sign_up(client: httpx2.AsyncClient) -> str:
    email = f"{uuid4().hex}@example.org"
    response = await client.post("/signup", json={"email": email, "password": "correct horse"})
    assert response.status_code == 201
    return email


def catches(number: signal.Signals, pid: int) -> bool:
    """Whether a process still waits for the signal; a worker that has heard it stops to."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) & 1 << (number - 1))


async def job_states(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["status"] for row in await connection.fetch("SELECT status::text FROM procrastinate_jobs")]
    finally:
        await connection.close()


@pytest.fixture
def answer_of_the_killed(environment: dict[str, str], tmp_path: Path) -> httpx2.Response:
    """What a pod answered to a signup before all of its processes were killed."""
    with serving(serve_command("paceline_api.app:app"), tmp_path, environment) as pod:
        eventually(lambda: pod.ended() or pod.management("/readyz") == 200, "the pod is ready", SECONDS)
        address = f"http://127.0.0.1:{pod.port}/signup"
        response = httpx2.post(address, json={"email": "killed@example.org", "password": "correct horse"}, timeout=20)
        for process in pod.descendants():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        pod.process.kill()
    return response


async def test_an_api_killed_right_after_its_response_has_not_lost_the_mail(
    answer_of_the_killed: httpx2.Response,
    environment: dict[str, str],
    mail_server: MailServer,
    smtp_url: str,
    tmp_path: Path,
) -> None:
    assert answer_of_the_killed.status_code == 201
    async with working({**environment, "API_MAIL_SMTP_URL": smtp_url}, tmp_path / "jobs.log"):
        await eventually_async(lambda: mail_server.mails, "the mail arrives", SECONDS)
    (mail,) = mail_server.to("killed@example.org")
    assert mail["From"] == "Shop <hello@shop.example>"
    assert mail["Message-ID"] == f"<welcome-{answer_of_the_killed.json()['id']}@shop.example>"


async def test_a_sender_killed_over_a_mail_leaves_it_to_the_next_and_it_may_come_twice(
    client: httpx2.AsyncClient, environment: dict[str, str], mail_server: MailServer, smtp_url: str, tmp_path: Path
) -> None:
    environment = {**environment, "API_MAIL_SMTP_URL": smtp_url}
    mail_server.released.clear()
    email = await sign_up(client)
    async with working(environment, tmp_path / "first.log") as first:
        await eventually_async(lambda: mail_server.mails, "the server has it, the sender does not know", SECONDS)
        first.kill()
    mail_server.released.set()
    async with working(environment, tmp_path / "second.log"):
        await eventually_async(lambda: len(mail_server.mails) > 1, "the mail once more", SECONDS)
    assert len({mail["Message-ID"] for mail in mail_server.to(email)}) == 1
    assert "left by a process that died" in await asyncio.to_thread((tmp_path / "second.log").read_text)


async def test_a_mail_that_is_delayed_comes_later_and_one_that_is_refused_never(
    client: httpx2.AsyncClient,
    environment: dict[str, str],
    mail_server: MailServer,
    smtp_url: str,
    tmp_path: Path,
    migrated_dsn: str,
) -> None:
    log = tmp_path / "jobs.log"
    async with working({**environment, "API_MAIL_SMTP_URL": smtp_url, **PATIENT}, log) as process:
        mail_server.answers = ["451 busy"]
        delayed = await sign_up(client)
        await eventually_async(lambda: mail_server.to(delayed), "the mail, at the second try", SECONDS)
        assert mail_server.answers == []

        mail_server.answers = ["554 not this one"]
        refused = await sign_up(client)
        written = partial(eventually, lambda: "no welcome mail for account" in log.read_text(), "it is logged", SECONDS)
        await asyncio.to_thread(written)
        process.terminate()
        assert await asyncio.to_thread(process.wait, SECONDS) == 0
    assert await job_states(migrated_dsn) == ["failed"], "what was sent is gone"
    assert mail_server.to(refused) == []
    assert refused not in await asyncio.to_thread(log.read_text)


async def test_told_to_stop_it_ends_the_mail_in_hand_and_begins_no_other(
    client: httpx2.AsyncClient,
    environment: dict[str, str],
    mail_server: MailServer,
    smtp_url: str,
    tmp_path: Path,
    migrated_dsn: str,
) -> None:
    alive = tmp_path / "alive"
    environment = {**environment, "API_MAIL_SMTP_URL": smtp_url, "API_JOBS_ALIVE_FILE": str(alive)}
    environment |= {**PATIENT, "API_JOBS_STOP_SECONDS": "60"}
    mail_server.released.clear()
    async with working(environment, tmp_path / "jobs.log") as process:
        await asyncio.to_thread(partial(eventually, alive.exists, "it is alive", SECONDS))
        await sign_up(client)
        await eventually_async(lambda: mail_server.mails, "the server has it, the sender does not know", SECONDS)
        process.terminate()
        await asyncio.to_thread(
            partial(eventually, lambda: not catches(signal.SIGTERM, process.pid), "it has heard", SECONDS)
        )
        late = await sign_up(client)
        mail_server.released.set()
        assert await asyncio.to_thread(process.wait, SECONDS) == 0
    assert len(mail_server.mails) == 1
    assert mail_server.to(late) == []
    assert await job_states(migrated_dsn) == ["todo"], "the one that came too late"


async def test_told_to_stop_over_a_mail_that_takes_too_long_it_leaves_it_to_the_next(
    client: httpx2.AsyncClient,
    environment: dict[str, str],
    mail_server: MailServer,
    smtp_url: str,
    tmp_path: Path,
    migrated_dsn: str,
) -> None:
    environment = {**environment, "API_MAIL_SMTP_URL": smtp_url, "API_JOBS_STOP_SECONDS": "0", **PATIENT}
    mail_server.released.clear()
    await sign_up(client)
    async with working(environment, tmp_path / "jobs.log") as process:
        await eventually_async(lambda: mail_server.mails, "the server has it, the sender does not know", SECONDS)
        process.terminate()
        assert await asyncio.to_thread(process.wait, SECONDS) == 0
    assert await job_states(migrated_dsn) == ["todo"]


async def test_without_a_mail_server_it_says_so_and_the_mail_waits(
    client: httpx2.AsyncClient, settings: Settings, migrated_dsn: str
) -> None:
    await sign_up(client)
    with pytest.raises(ConfigurationError, match="API_MAIL_SMTP_URL is not set"):
        await work(settings)
    assert await job_states(migrated_dsn) == ["todo"]


async def test_with_nothing_to_complain_of_it_writes_nothing(
    environment: dict[str, str], smtp_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "jobs.log"
    async with working({**environment, "API_MAIL_SMTP_URL": smtp_url}, log) as process:
        await asyncio.to_thread(
            partial(eventually, lambda: catches(signal.SIGTERM, process.pid), "it is at work", SECONDS)
        )
        process.terminate()
        assert await asyncio.to_thread(process.wait, SECONDS) == 0
    said = (await asyncio.to_thread(log.read_text)).splitlines()
    # procrastinate cancels its own tasks again where they take long to end, as on a busy machine.
    assert [line for line in said if not line.startswith("WARNING psycopg: query cancellation interrupted")] == []


async def sign_up_below_a_span(dsn: str, email: str, *, drawn: bool) -> None:
    """As the route does it, below the span of a request."""
    flags = TraceFlags(TraceFlags.SAMPLED if drawn else TraceFlags.DEFAULT)
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(SpanContext(TRACE, SPAN, False, flags))))
    connection = await asyncpg.connect(dsn)
    try:
        insert = "INSERT INTO accounts (email, password_hash) VALUES ($1, '') RETURNING id"
        account_id = await connection.fetchval(insert, email)
        await outbox.defer(connection, outbox.WELCOME_MAIL, account_id=account_id)
    finally:
        context.detach(token)
        await connection.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.mark.parametrize("drawn", [True, False])
async def test_each_attempt_is_a_span_linked_to_the_request_that_was_drawn(
    drawn: bool,
    collector: Collector,
    environment: dict[str, str],
    mail_server: MailServer,
    smtp_url: str,
    tmp_path: Path,
    migrated_dsn: str,
) -> None:
    mail_server.answers = ["451 busy"]
    await sign_up_below_a_span(migrated_dsn, f"linked-{drawn}@example.org".lower(), drawn=drawn)
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "API_MAIL_SMTP_URL": smtp_url, **PATIENT}
    async with working({**environment, **variables}, tmp_path / "jobs.log"):
        await eventually_async(lambda: len(collector.named("process welcome_mail")) == 2, "both attempts", SECONDS)
    first, second = sorted(
        collector.named("process welcome_mail"), key=lambda span: span.attributes["paceline.attempt"]
    )
    assert first.links == second.links == (((f"{TRACE:032x}", f"{SPAN:016x}"),) if drawn else ())
    assert first.trace_id not in {second.trace_id, f"{TRACE:032x}"}
    assert (first.failed, first.attributes["error.type"]) == (True, "MailDelayed")
    assert not second.failed
    assert second.kind == trace_pb2.Span.SpanKind.SPAN_KIND_CONSUMER
    assert second.attributes["messaging.operation.type"] == "process"
    assert second.attributes["messaging.destination.name"] == "mail"
    assert [first.attributes["paceline.attempt"], second.attributes["paceline.attempt"]] == [1, 2]
