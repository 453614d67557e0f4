"""What clients store never pushes a revocation or a count of attempts out."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from paceline.local.valkey import valkey
from paceline_api.errors import NotConfigured
from paceline_api.security_store import SecurityStore
from paceline_api.settings import Settings
from pydantic import SecretStr
from redis.asyncio import Redis
from reference_api import Start, changed

pytestmark = [pytest.mark.invariant, pytest.mark.may_block]

EMAIL, PASSWORD = "evicted@example.org", "correct horse battery"
FULL = ("--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru")


@pytest.fixture
def evicting_url(tmp_path: Path) -> Iterator[str]:
    """A server that holds a hundred values of 64 KiB at most."""
    with valkey(tmp_path / "evicting", *FULL) as url:
        yield url


@pytest.fixture
def signing(settings: Settings, evicting_url: str) -> Settings:
    settings = changed(settings, "redis", url=SecretStr(evicting_url))
    return changed(settings, "token", secret=SecretStr("integration-secret-of-more-than-32-bytes"))


@pytest.fixture
async def security_url(tmp_path: Path) -> AsyncIterator[str]:
    with valkey(tmp_path / "security", "--maxmemory", "16mb", "--maxmemory-policy", "noeviction") as url:
        yield url


async def sign_in(client: httpx2.AsyncClient, password: str = PASSWORD) -> httpx2.Response:
    return await client.post("/auth/token", data={"username": EMAIL, "password": password})


async def fill(client: httpx2.AsyncClient, count: int = 300) -> None:
    for number in range(count):
        response = await client.put(f"/cache/{number}", content=b"x" * 65_536, params={"ttl": 86_400})
        assert response.status_code == 204
    # Which ones go is drawn by lot where all were written within a second, the resolution of the server's clock.
    found = [(await client.get(f"/cache/{number}")).status_code for number in range(50)]
    assert 404 in found, "some were evicted"


async def test_a_logged_out_token_stays_logged_out_and_guesses_stay_counted(
    start: Start, signing: Settings, security_url: str
) -> None:
    settings = changed(signing, "security_redis", url=SecretStr(security_url))
    settings = changed(settings, "sign_in", attempts_per_account=3)
    async with start(changed(settings, "rate_limit", requests=2, timeout_seconds=20.0)) as client:
        await client.post("/signup", json={"email": EMAIL, "password": PASSWORD})
        token = (await sign_in(client)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/auth/me", headers=headers)).status_code == 200
        assert (await client.post("/auth/logout", headers=headers)).status_code == 204
        for _ in range(3):
            assert (await sign_in(client, "wrong")).status_code == 401
            await client.get("/api/data")
        await fill(client)
        assert (await client.get("/auth/me", headers=headers)).status_code == 401
    async with start(changed(settings, "rate_limit", requests=2, timeout_seconds=20.0)) as other:
        assert (await other.get("/auth/me", headers=headers)).status_code == 401
        assert (await sign_in(other)).status_code == 429, "another worker remembers nothing; the server does"
        assert (await other.get("/api/data")).status_code == 429


async def test_where_keys_may_be_evicted_nobody_signs_in_and_the_rest_works(
    start: Start, signing: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(signing) as client:
        for response in (
            await sign_in(client),
            await client.post("/signup", json={"email": EMAIL, "password": PASSWORD}),
            await client.get("/auth/me", headers={"Authorization": "Bearer any"}),
            await client.post("/auth/logout", headers={"Authorization": "Bearer any"}),
        ):
            assert (response.status_code, response.json()["error"]) == (503, "NotConfigured")
            assert "SECURITY_REDIS_URL" in response.json()["detail"]
        assert (await client.get("/products")).status_code == 200
        assert (await client.put("/cache/a", content=b"x")).status_code == 204
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "evicts keys (maxmemory-policy allkeys-lru)" in told.getMessage()


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl", "volatile-lfu"])
async def test_the_policy_is_read_again(evicting_url: str, policy: str) -> None:
    now = 0.0
    async with Redis.from_url(evicting_url, driver_info=None) as redis:
        store = SecurityStore(redis, "REDIS_URL", clock=lambda: now)
        await redis.config_set("maxmemory-policy", "noeviction")
        await store.require()
        await redis.config_set("maxmemory-policy", policy)
        await store.require()
        now = 31.0
        with pytest.raises(NotConfigured, match="REDIS_URL may evict keys"):
            await store.require()
        await redis.config_set("maxmemory", 0)
        now = 62.0
        await store.require()


@pytest.mark.parametrize("forbidden", ["-info", "-config|get"])
async def test_one_of_two_commands_is_enough(evicting_url: str, forbidden: str) -> None:
    async with Redis.from_url(evicting_url, driver_info=None) as redis:
        await redis.execute_command("ACL", "SETUSER", "default", forbidden)
        with pytest.raises(NotConfigured):
            await SecurityStore(redis, "REDIS_URL").require()


async def test_a_server_that_does_not_tell_is_used_and_the_log_says_so(
    evicting_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Redis.from_url(evicting_url, driver_info=None) as redis:
        await redis.execute_command("ACL", "SETUSER", "default", "-info", "-config|get")
        store = SecurityStore(redis, "SECURITY_REDIS_URL")
        await store.look()
        await store.require()
    (told,) = caplog.records
    assert told.getMessage().startswith("the Redis of SECURITY_REDIS_URL permits neither INFO nor CONFIG GET")


async def test_an_application_starts_before_its_redis(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    async with Redis.from_url(f"redis://127.0.0.1:{closed_port}", driver_info=None) as redis:
        await SecurityStore(redis, "REDIS_URL").look()
    assert "cannot be asked yet" in caplog.text
