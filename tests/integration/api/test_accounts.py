"""POST /signup and /auth: accounts in PostgreSQL, tokens, and guesses that are counted in Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from paceline import tune
from paceline_api import accounts
from paceline_api.accounts import Account
from paceline_api.routes.signup import SIGNUPS
from paceline_api.settings import Settings
from pydantic import SecretStr
from redis.asyncio import Redis

Start = Callable[[Settings], AbstractAsyncContextManager[httpx2.AsyncClient]]

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """Nothing counted, nothing revoked yet."""
    async with Redis.from_url(valkey_url, driver_info=None) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def signing(settings: Settings) -> Settings:
    token = settings.token.model_copy(update={"secret": SecretStr("integration-secret-of-more-than-32-bytes")})
    return settings.model_copy(update={"token": token})


@pytest.fixture
async def client(start: Start, signing: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with start(signing) as client:
        yield client


def new_email() -> str:
    return f"{uuid4().hex}@example.org"


async def sign_up(client: httpx2.AsyncClient, email: str) -> httpx2.Response:
    return await client.post("/signup", json={"email": email, "password": PASSWORD})


async def sign_in(client: httpx2.AsyncClient, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await client.post("/auth/token", data={"username": email, "password": password})


async def bearer(client: httpx2.AsyncClient, email: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {(await sign_in(client, email)).json()['access_token']}"}


def assert_problem(response: httpx2.Response, status: int, error: str) -> None:
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_from_signing_up_to_signing_out(client: httpx2.AsyncClient) -> None:
    email = new_email()
    made = await sign_up(client, email.upper())
    assert made.status_code == 201
    assert made.json().keys() == {"id", "email", "created_at"}

    response = await sign_in(client, email.title())
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert (response.json()["token_type"], response.json()["expires_in"]) == ("bearer", 900)

    headers = {"Authorization": f"Bearer {response.json()['access_token']}"}
    me = await client.get("/auth/me", headers=headers)
    assert (me.status_code, me.json()) == (200, made.json())

    assert (await client.post("/auth/logout", headers=headers)).status_code == 204
    refused = await client.get("/auth/me", headers=headers)
    assert_problem(refused, 401, "InvalidToken")
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert (await client.get("/auth/me", headers=await bearer(client, email))).status_code == 200


async def test_what_was_revoked_here_is_refused_elsewhere_until_it_expires(
    start: Start, signing: Settings, redis: Redis
) -> None:
    email = new_email()
    async with start(signing) as client:
        await sign_up(client, email)
        headers = await bearer(client, email)
        await client.post("/auth/logout", headers=headers)
    async with start(signing) as other:
        assert_problem(await other.get("/auth/me", headers=headers), 401, "InvalidToken")
    (key,) = await redis.keys("auth:revoked:*")
    assert 900 < await redis.ttl(key) <= 960, "a minute longer, for a pod whose clock is behind"


async def test_the_password_is_stored_as_a_hash_only(client: httpx2.AsyncClient, database: asyncpg.Connection) -> None:
    email = new_email()
    await sign_up(client, email)
    row = await database.fetchrow("SELECT * FROM accounts WHERE email = $1", email)
    assert row["password_hash"].startswith("$argon2id$")
    assert PASSWORD not in str(dict(row))


async def test_an_email_has_one_account(client: httpx2.AsyncClient, database: asyncpg.Connection) -> None:
    email = new_email()
    responses = await asyncio.gather(*(sign_up(client, email) for _ in range(4)))
    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409]
    assert_problem(next(response for response in responses if response.status_code == 409), 409, "EmailTaken")
    assert await mails_waiting(database, email) == 1


async def mails_waiting(database: asyncpg.Connection, email: str) -> int:
    return int(
        await database.fetchval(
            "SELECT count(*) FROM procrastinate_jobs JOIN accounts ON (args ->> 'account_id')::bigint = accounts.id"
            " WHERE task_name = 'welcome_mail' AND email = $1",
            email,
        )
    )


@pytest.mark.parametrize("table", ["accounts", "procrastinate_jobs"])
async def test_a_transaction_that_fails_leaves_neither_account_nor_mail(
    client: httpx2.AsyncClient, database: asyncpg.Connection, table: str
) -> None:
    email = new_email()
    await database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused at commit'; END $$;"
        f"CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    jobs = await database.fetchval("SELECT count(*) FROM procrastinate_jobs")
    try:
        with pytest.raises(asyncpg.RaiseError, match="refused at commit"):
            await sign_up(client, email)
    finally:
        await database.execute(f"DROP TRIGGER refuse ON {table}; DROP FUNCTION refuse")
    assert await database.fetchval("SELECT count(*) FROM accounts WHERE email = $1", email) == 0
    assert await database.fetchval("SELECT count(*) FROM procrastinate_jobs") == jobs
    assert (await sign_up(client, email)).status_code == 201


async def test_the_days_signups_are_counted_after_the_response(client: httpx2.AsyncClient, redis: Redis) -> None:
    made = await sign_up(client, new_email())
    assert await redis.hgetall(SIGNUPS) == {made.json()["created_at"][:10].encode(): b"1"}


@pytest.mark.parametrize(
    ("email", "password", "where"),
    [
        ("nobody", PASSWORD, "body.email"),
        ("a@b", PASSWORD, "body.email"),
        ("a,b@example.org", PASSWORD, "body.email"),
        ("a\r\nBcc: c@example.org", PASSWORD, "body.email"),
        ("a\x00@example.org", PASSWORD, "body.email"),
        ("a@example.org", "short", "body.password"),
        ("a@example.org", "x" * 1025, "body.password"),
    ],
)
async def test_a_bad_signup_names_the_field_and_not_the_value(
    client: httpx2.AsyncClient, email: str, password: str, where: str
) -> None:
    response = await client.post("/signup", json={"email": email, "password": password})
    assert_problem(response, 422, "InvalidRequest")
    assert response.json()["detail"].startswith(f"{where}: ")
    assert password not in response.text


async def test_half_a_character_in_a_password_is_no_failure_of_ours(client: httpx2.AsyncClient) -> None:
    body = b'{"email": "%s", "password": "\\ud800 and ten more"}' % new_email().encode()
    response = await client.post("/signup", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 201


@pytest.mark.parametrize(
    "email", ["there@example.org", "nobody-is@example.org", "no address", "Ådå@example.org", "nul\x00@example.org"]
)
async def test_a_wrong_password_and_a_wrong_name_are_one_response(client: httpx2.AsyncClient, email: str) -> None:
    await sign_up(client, "there@example.org")
    response = await sign_in(client, email, "wrong")
    assert_problem(response, 401, "InvalidCredentials")
    assert response.json()["detail"] == "no account has this email and password"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/auth/me", "/auth/logout"])
@pytest.mark.parametrize(
    ("header", "error"),
    [(None, "InvalidCredentials"), ("Basic YTpi", "InvalidCredentials"), ("Bearer forged", "InvalidToken")],
)
async def test_no_token_or_a_bad_one(client: httpx2.AsyncClient, path: str, header: str | None, error: str) -> None:
    method = "GET" if path == "/auth/me" else "POST"
    response = await client.request(method, path, headers={} if header is None else {"Authorization": header})
    assert_problem(response, 401, error)
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_outlives_its_account_to_no_avail(
    client: httpx2.AsyncClient, database: asyncpg.Connection
) -> None:
    email = new_email()
    await sign_up(client, email)
    headers = await bearer(client, email)
    await database.execute("DELETE FROM accounts WHERE email = $1", email)
    assert_problem(await client.get("/auth/me", headers=headers), 401, "InvalidToken")


def limits(settings: Settings, **values: Any) -> Settings:
    return settings.model_copy(update={"sign_in": settings.sign_in.model_copy(update=values)})


async def test_guesses_for_one_account_end_even_with_the_right_one(start: Start, signing: Settings) -> None:
    email = new_email()
    async with start(limits(signing, attempts_per_account=3)) as client:
        await sign_up(client, email)
        for _ in range(3):
            assert (await sign_in(client, email, "wrong")).status_code == 401
        response = await sign_in(client, email)
        assert_problem(response, 429, "TooManyRequests")
        assert 1 <= int(response.headers["retry-after"]) <= 300
        other = new_email()
        await sign_up(client, other)
        assert (await sign_in(client, other)).status_code == 200, "others are not locked out"


async def test_who_signs_in_has_all_attempts_again(start: Start, signing: Settings) -> None:
    email = new_email()
    async with start(limits(signing, attempts_per_account=2)) as client:
        await sign_up(client, email)
        for _ in range(3):
            assert (await sign_in(client, email, "wrong")).status_code == 401
            assert (await sign_in(client, email)).status_code == 200


async def test_guesses_for_many_accounts_from_one_address_end(start: Start, signing: Settings) -> None:
    async with start(limits(signing, attempts_per_address=3)) as client:
        for _ in range(3):
            assert (await sign_in(client, new_email())).status_code == 401
        assert_problem(await sign_in(client, new_email()), 429, "TooManyRequests")
        assert_problem(await sign_up(client, new_email()), 429, "TooManyRequests")


async def test_without_a_secret_nobody_signs_in_and_all_else_works(start: Start, settings: Settings) -> None:
    async with start(settings) as client:
        email = new_email()
        assert (await sign_up(client, email)).status_code == 201
        response = await sign_in(client, email)
        assert_problem(response, 503, "NotConfigured")
        assert response.json()["detail"] == "this installation signs nobody in: API_TOKEN_SECRET is not set"


async def test_without_redis_nobody_signs_in(start: Start, signing: Settings, closed_port: int) -> None:
    url = SecretStr(f"redis://127.0.0.1:{closed_port}/0")
    async with start(signing.model_copy(update={"redis": signing.redis.model_copy(update={"url": url})})) as client:
        assert_problem(await sign_in(client, new_email()), 503, "Unavailable")


async def test_lookups_at_the_same_time_share_a_round_trip_and_see_what_was_committed_before(
    client: httpx2.AsyncClient, migrated_dsn: str, database: asyncpg.Connection
) -> None:
    emails = [new_email() for _ in range(3)]
    for email in emails:
        assert (await sign_up(client, email)).status_code == 201
    ids = [await database.fetchval("SELECT id FROM accounts WHERE email = $1", email) for email in emails]
    calls = []

    async with asyncpg.create_pool(migrated_dsn, min_size=0, max_size=4) as pool:

        async def load(account_ids: Sequence[int]) -> dict[int, Account]:
            calls.append(account_ids)
            return await accounts.by_ids(pool, account_ids)

        account_by_id = tune.batch(load)
        found = await asyncio.gather(*map(account_by_id, [*ids * 10, 2**62]))
        assert [each and each.email for each in found] == [*emails * 10, None]
        assert calls == [[*ids, 2**62]]
        await database.execute("DELETE FROM accounts WHERE id = $1", ids[0])
        assert await account_by_id(ids[0]) is None
