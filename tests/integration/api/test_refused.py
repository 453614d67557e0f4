"""Attacks on a pod of two workers that were refused before: they stay refused. Each client has its own address."""

import base64
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from itertools import count
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import jwt
import pytest
from collector import Collector, collecting
from paceline.local.valkey import valkey
from serving import Served, eventually, serve_command, serving

pytestmark = [pytest.mark.invariant, pytest.mark.may_block, pytest.mark.timeout(180)]

PASSWORD = "correct horse battery"
PLANTED = {
    "token": "planted-token-secret-of-more-than-32-bytes",
    "redis": "planted-redis-password",
    "security": "planted-security-password",
    "postgres": "planted-postgres-password",
}
SHOP = "https://shop.example"
_addresses = (f"127.1.{number // 200}.{number % 200 + 1}" for number in count())


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def pod(migrated_dsn: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("refused")
        redis_url = stack.enter_context(valkey(folder / "valkey", password=PLANTED["redis"]))
        security_url = stack.enter_context(valkey(folder / "security", password=PLANTED["security"]))
        environment = {
            "DATABASE_URL": migrated_dsn.replace("postgres@", f"postgres:{PLANTED['postgres']}@", 1),
            "REDIS_URL": redis_url,
            "SECURITY_REDIS_URL": security_url,
            "API_TOKEN_SECRET": PLANTED["token"],
            "API_CORS_ORIGINS": SHOP,
            "API_RATE_LIMIT_TIMEOUT_SECONDS": "20",
            "API_PROCESSES_QUEUE": "2",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "PACELINE_TRACE_RATIO": "0",
            "PACELINE_TRACE_SLOW": "60",
        }
        command = serve_command("paceline_api.app:app", "--workers", "2")
        pod = stack.enter_context(serving(command, folder, environment))
        eventually(lambda: pod.ended() or pod.management("/readyz") == 200, "the pod is ready", 60)
        eventually(lambda: pod.ended() or len(pod.ready_workers()) == 2, "both workers are ready", 60)
        assert not pod.ended(), pod.stderr
        yield pod


class Client:
    """Somebody with an address of loopback that is no proxy's."""

    def __init__(self, port: int) -> None:
        self.address = next(_addresses)
        self._port = port

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> "Answer":
        """One request on a connection of its own, which any worker may take."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60, source_address=(self.address, 0))
        try:
            connection.request(method, path, body, dict(headers or {}))
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def claim(self, name: str, values: Sequence[str | bytes]) -> int:
        """The status of a request below a quota with a field for each value."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60, source_address=(self.address, 0))
        try:
            connection.putrequest("GET", "/api/data")
            for value in values:
                connection.putheader(name, value)
            connection.endheaders()
            return connection.getresponse().status
        finally:
            connection.close()

    def send_json(self, path: str, value: Any) -> "Answer":
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/json"})

    def sign_up(self, email: str) -> "Answer":
        return self.send_json("/signup", {"email": email, "password": PASSWORD})

    def sign_in(self, email: str, password: str = PASSWORD) -> "Answer":
        form = urlencode({"username": email, "password": password})
        return self.ask("POST", "/auth/token", form, {"Content-Type": "application/x-www-form-urlencoded"})

    def token(self) -> str:
        """Of a new account."""
        email = f"{uuid4().hex}@example.org"
        assert self.sign_up(email).status == 201
        return str(json.loads(self.sign_in(email).body)["access_token"])

    def me(self, token: str, scheme: str = "Bearer") -> int:
        return self.ask("GET", "/auth/me", headers={"Authorization": f"{scheme} {token}"}).status


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


@pytest.fixture
def client(pod: Served) -> Client:
    return Client(pod.port)


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(token: str) -> Iterator[str]:
    """Tokens that were made of a good one."""
    header, payload, signature = token.split(".")
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    good, now = PLANTED["token"], int(time.time())
    for name in ("none", "None", "NONE", "nOnE"):
        yield f"{encoded({'alg': name, 'typ': 'JWT'})}.{payload}."
        yield f"{encoded({'alg': name, 'typ': 'JWT'})}.{payload}.{signature}"
    yield jwt.encode(claims, good * 2, algorithm="HS384")
    yield f"{encoded({'alg': 'RS256', 'typ': 'JWT'})}.{payload}.{signature}"
    yield jwt.encode(claims, "another-secret-of-more-than-32-bytes", algorithm="HS256")
    for header_of in (
        {"kid": "../../dev/null"},
        {"jwk": {"kty": "oct", "k": encoded("x")}},
        {"jku": "http://127.0.0.1/"},
    ):
        yield jwt.encode(claims, "x" * 32, algorithm="HS256", headers=header_of)
    yield jwt.encode(claims, good, algorithm="HS256", headers={"crit": ["exp"]})
    for wrong in (
        {"nbf": now + 3600},
        {"aud": "another"},
        {"exp": now - 1},
        {"exp": 2**62},
        {"exp": str(now + 900)},
        {"exp": now + 900.5},
        {"exp": -1},
        {"iat": 2**62},
        {"sub": int(claims["sub"])},
        {"sub": str(2**70)},
        {"jti": "\ud800"},
        {"sub": [claims["sub"]]},
    ):
        try:
            yield jwt.encode({**claims, **wrong}, good, algorithm="HS256")
        except (TypeError, ValueError):  # the library does not sign it; anybody can
            yield f"{header}.{encoded({**claims, **wrong})}.{signature}"
    yield from (
        token[:-1],
        token[1:],
        f"{header}.{payload}",
        f"{token}.{signature}",
        token * 2,
        token + "A",
        "..",
        "a.b.c",
    )
    yield from (f"{header}.{encoded('[' * 400)}.{signature}", "x" * 5000)


def test_a_token_that_is_not_ours_is_refused(client: Client) -> None:
    token = client.token()
    assert client.me(token) == 200
    tokens = list(forged(token))
    assert len(tokens) >= 24
    assert {forgery: status for forgery in tokens if (status := client.me(forgery)) != 401} == {}
    for scheme in ("Basic", "Token", "Digest", "JWT", "Bearer Bearer", ""):
        assert client.me(token, scheme) == 401, scheme
    assert client.ask("GET", f"/auth/me?access_token={token}").status == 401
    assert client.ask("GET", "/auth/me", headers={"Cookie": f"access_token={token}; token={token}"}).status == 401


def test_a_token_is_of_no_use_after_logout_whichever_worker_is_asked(client: Client) -> None:
    token = client.token()
    assert client.ask("POST", "/auth/logout", headers={"Authorization": f"Bearer {token}"}).status == 204
    assert {client.me(token) for _ in range(40)} == {401}


def test_the_time_does_not_tell_who_has_an_account(pod: Served, client: Client) -> None:
    known = [f"{uuid4().hex}@example.org" for _ in range(8)]
    for email in known:
        assert client.sign_up(email).status == 201
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(64):
        there, who = number % 2 == 0, Client(pod.port)
        started = time.monotonic()
        response = who.sign_in(known[number // 2 % 8] if there else f"{uuid4().hex}@example.org", "wrong password")
        seconds[there].append(time.monotonic() - started)
        assert response.status == 401
    ratio = statistics.median(seconds[True]) / statistics.median(seconds[False])
    assert 0.5 < ratio < 2, seconds  # without a hash for nobody: a tenth


def test_the_case_of_a_letter_is_no_new_account_to_guess_at(pod: Served, client: Client) -> None:
    email = f"{uuid4().hex}@example.org"
    assert client.sign_up(email).status == 201
    variants = [email, email.upper(), email.title(), email.capitalize(), email.swapcase()]
    statuses = [Client(pod.port).sign_in(variants[number % 5], "wrong").status for number in range(15)]
    assert statuses == [401] * 10 + [429] * 5


def test_one_address_may_not_guess_on(client: Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: client.sign_in(f"{uuid4().hex}@example.org", "wrong").status, range(70)))
    assert Counter(statuses) == {401: 50, 429: 20}


CLIENT_HEADERS = (
    "X-Forwarded-For",
    "X-Real-IP",
    "Forwarded",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-Forwarded-For",
    "Fastly-Client-IP",
)
FORMS = (
    "1.2.3.4",
    "1.2.3.4, 5.6.7.8",
    " 1.2.3.4",
    "1.2.3.4:80",
    "[2001:db8::1]",
    "[2001:db8::1]:80",
    "2001:db8::1",
    "::ffff:1.2.3.4",
    "127.0.0.1",
    "127.0.0.1, 1.2.3.4",
    "::1",
    "unknown",
    "_hidden",
    "",
    ",",
    ",,1.2.3.4",
    "1.2.3.4,",
    "0x7f.1",
    "2130706433",
    "1.2.3.4\t",
    '"1.2.3.4"',
)
PATHS = (
    "//api/data",
    "/api//data",
    "/api/data/",
    "/api/./data",
    "/api/../api/data",
    "/API/data",
    "/api/data;a=b",
    "/%61pi/data",
    "/api%2fdata",
    "/api/data%20",
    "/api/data?x=1",
    "/api/data#x",
)


ODD_FORMS: tuple[tuple[str | bytes, ...], ...] = (
    ("1.2.3.4", "5.6.7.8"),
    ("1.2.3.4", "127.0.0.1"),
    ("127.0.0.1", "1.2.3.4"),
    ("", "1.2.3.4"),
    tuple(f"10.0.0.{number}" for number in range(50)),
    (", ".join(f"10.0.{number // 250}.{number % 250}" for number in range(3000)),),
    ("1" * 50_000,),
    ("fe80::1%eth0",),
    ("[::ffff:7f00:1]",),
    ("1.2.3.4 5.6.7.8",),
    ("1.2.3.4;5.6.7.8",),
    ("for=1.2.3.4;by=127.0.0.1",),
    ("http://1.2.3.4/",),
    ("1.2.3.4%00",),
    ("127.0.0.1/0",),
    ("0.0.0.0",),
    ("localhost",),
    ("\u0661.\u0662.\u0663.\u0664".encode(),),
    (b"1.2.3.4\xff",),
    (b"\xc2\xa01.2.3.4",),
)
"""Several fields, very long ones, what is no address and what is no ASCII."""


def test_whatever_a_client_says_of_its_address_it_has_one_quota(client: Client) -> None:
    claims = [(name, (form,)) for name in CLIENT_HEADERS for form in FORMS]
    claims += [("X-Forwarded-For", forms) for forms in ODD_FORMS]
    statuses = Counter(client.claim(name, forms) for name, forms in claims)
    assert statuses == {200: 100, 429: len(claims) - 100}


OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method", "X-Original-Method")


@pytest.mark.parametrize("asked", ["GET", "DELETE", "PUT"])
def test_no_header_and_no_query_changes_the_method(client: Client, asked: str) -> None:
    headers = dict.fromkeys(OVERRIDES, asked)
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE"):
        response = client.ask(method, f"/auth/me?_method={asked}", f"_method={asked}", form)
        assert (response.status, response.headers["allow"]) == (405, "GET"), method
    assert client.ask("GET", "/healthz", headers=headers).status == 200


def test_nothing_can_be_traced(client: Client, pod: Served) -> None:
    """TRACE would show a page the headers that it may not read."""
    paths = json.loads(client.ask("GET", "/openapi.json").body)["paths"]
    assert len(paths) > 10
    for path in paths:
        response = Client(pod.port).ask(
            "TRACE", path.replace("{", "").replace("}", ""), headers={"X-Planted": "planted"}
        )
        assert response.status == 405, path
        assert b"planted" not in response.body


def test_a_quota_is_exact_and_nothing_goes_around_it(client: Client) -> None:
    with ThreadPoolExecutor(32) as threads:
        statuses = Counter(threads.map(lambda _: client.ask("GET", "/api/data").status, range(400)))
    assert statuses == {200: 100, 429: 300}
    for name in CLIENT_HEADERS:
        assert client.ask("GET", "/api/data", headers={name: "9.9.9.9"}).status == 429, name
    for form in FORMS:
        assert client.ask("GET", "/api/data", headers={"X-Forwarded-For": form}).status == 429, form
    for path in PATHS:
        assert client.ask("GET", path).status in {400, 404, 429}, path
    for method in ("HEAD", "OPTIONS", "POST"):
        assert client.ask(method, "/api/data").status in {405, 429}, method


ADDRESSES = (
    "a@example.org\r\nBcc: b@example.org",
    "a@example.org\n",
    "\na@example.org",
    "a@example.org\x00",
    "a@example.org,b@example.org",
    "a@example.org;b@example.org",
    "A <a@example.org>",
    "<a@example.org>",
    "a b@example.org",
    "a@exam ple.org",
    "å@example.org",
    "a@exämple.org",
    "a@example.org\u2028",
    "a@\uff45xample.org",
    "a@example",
    "@example.org",
    "a@@example.org",
    "a" * 65 + "@example.org",
    "a@" + "b" * 64 + ".org",
    "\u202ea@example.org",
)
PASSWORDS = ("", "short", "x" * 1025, None, 1234567890)
BODIES = (
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{",
    b"NaN",
    b'{"email": NaN, "password": NaN}',
    b"\xff\xfe{}",
    b'{"email": "\xff@example.org"}',
    b'{"email":' * 500,
    b"[" * 100_000,
    b'{"email": {"$ne": null}, "password": {"$ne": null}}',
)


def test_a_signup_that_is_not_right_is_refused(client: Client) -> None:
    for email in ADDRESSES:
        assert client.sign_up(email).status == 422, email
    for password in PASSWORDS:
        assert client.send_json("/signup", {"email": "a@example.org", "password": password}).status == 422, password
    for body in BODIES:
        assert client.send_json("/signup", body).status == 422, body[:40]


def test_of_sixteen_signups_at_once_one_makes_an_account(client: Client) -> None:
    email = f"{uuid4().hex}@example.org"
    with ThreadPoolExecutor(16) as threads:
        statuses = Counter(threads.map(lambda _: client.sign_up(email).status, range(16)))
    assert statuses == {201: 1, 409: 15}


TILES: tuple[Any, ...] = (
    {"size": 0},
    {"size": -1},
    {"size": 129},
    {"size": 1.5},
    {"size": "64"},
    {"size": True},
    {"size": None},
    {"size": []},
    {"size": 10**400},
    {"iterations": 0},
    {"iterations": 10_001},
    {"iterations": "1"},
    {"span": 0},
    {"span": -1},
    {"span": 5},
    {"real": 3},
    {"real": "0"},
    {"imaginary": -3},
    {"imaginary": {}},
    [],
    "tile",
    b'{"real": NaN}',
    b'{"real": 1e999}',
    b'{"span": Infinity}',
)


def test_a_tile_that_is_not_right_is_refused(client: Client) -> None:
    for tile in TILES:
        assert client.send_json("/process", tile).status == 422, tile


def test_heavy_work_is_refused_beyond_the_queue_and_freed_when_nobody_waits(client: Client, pod: Served) -> None:
    heavy = {"real": -0.1, "imaginary": 0, "span": 0.01, "size": 128, "iterations": 10_000}
    body = json.dumps(heavy).encode()
    with ExitStack() as stack:
        waiting = []
        for _ in range(12):
            connection = HTTPConnection("127.0.0.1", pod.port, timeout=60, source_address=(client.address, 0))
            stack.callback(connection.close)
            connection.request("POST", "/process", body, {"Content-Type": "application/json"})
            waiting.append(connection)
        assert sum(_refused_soon(connection) for connection in waiting) >= 8
    eventually(lambda: client.send_json("/process", {"size": 1}).status == 200, "a process is free again", 15)


def _refused_soon(connection: HTTPConnection) -> bool:
    assert connection.sock is not None
    connection.sock.settimeout(0.5)
    try:
        return connection.getresponse().status == 503
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://shop.example.evil.example",
        "http://shop.example",
        "https://SHOP.example:444",
    ],
)
def test_a_foreign_page_reads_nothing(client: Client, origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        response = client.ask(method, "/products", headers=headers)
        assert "access-control-allow-origin" not in response.headers
    assert "Origin" in client.ask("GET", "/products", headers={"Origin": SHOP}).headers["vary"]


def test_a_stranger_forces_no_span_and_names_no_request(client: Client, collector: Collector) -> None:
    traced = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-ID": "chosen"}
    for _ in range(200):
        response = client.ask("GET", "/healthz", headers=traced)
        assert response.status == 200
        assert response.headers["x-request-id"] != "chosen"
    assert client.ask("GET", "/users/1").status == 503  # failed, and so exported: what came before would be there
    eventually(lambda: any("/users/" in span.name for span in collector.spans), "the span of a failure")
    assert [span for span in collector.spans if span.name == "GET /healthz"] == []
    assert "0af7651916cd43dd8448eb211c80319c" not in {span.trace_id for span in collector.spans}


def test_no_secret_is_told(client: Client, pod: Served, collector: Collector) -> None:
    client.ask("GET", "/users/1")
    eventually(lambda: collector.spans, "a span of a failure")
    told = {
        "the log": pod.stderr,
        "/state": json.dumps(pod.state()),
        "/metrics": pod.get("/metrics", pod.management_port)[1].decode(),
        "spans": repr(collector.spans),
        "the description": client.ask("GET", "/openapi.json").body.decode(),
    }
    assert [(where, name) for where, text in told.items() for name, secret in PLANTED.items() if secret in text] == []
