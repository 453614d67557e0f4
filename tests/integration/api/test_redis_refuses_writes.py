"""A Redis that answers and takes no writes: documented 503 answers, or the way that a setting says; never 500."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from paceline.local.valkey import valkey
from paceline_api.settings import Settings
from pydantic import SecretStr
from redis import Redis
from reference_api import Start, changed

pytestmark = [pytest.mark.invariant, pytest.mark.may_block]

PASSWORD = "correct horse battery"


def out_of_memory(redis: Any, folder: Path) -> None:
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", 1)


def a_replica(redis: Any, folder: Path) -> None:
    redis.replicaof("127.0.0.1", 1)


def a_replica_without_its_primary(redis: Any, folder: Path) -> None:
    redis.config_set("replica-serve-stale-data", "no")
    redis.replicaof("127.0.0.1", 1)


def too_few_replicas(redis: Any, folder: Path) -> None:
    redis.config_set("min-replicas-to-write", 1)


def cannot_save(redis: Any, folder: Path) -> None:
    redis.config_set("save", "3600 1")
    redis.set("something", "to save")
    (folder / "data").rmdir()
    redis.bgsave()
    while redis.info("persistence")["rdb_last_bgsave_status"] == "ok":
        pass


def forbidden(redis: Any, folder: Path) -> None:
    redis.execute_command("ACL", "SETUSER", "default", "-@write")


REFUSALS = [out_of_memory, a_replica, a_replica_without_its_primary, too_few_replicas, cannot_save, forbidden]


@pytest.fixture(params=REFUSALS, ids=lambda refusal: refusal.__name__)
def refusing_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "data").mkdir()
    with valkey(tmp_path, "--dir", str(tmp_path / "data")) as url, Redis.from_url(url) as redis:
        request.param(redis, tmp_path)
        yield url
        redis.config_set("save", "")  # else it does not stop: it cannot save then either


@pytest.fixture
def refusing(settings: Settings, refusing_url: str) -> Settings:
    settings = changed(settings, "redis", url=SecretStr(refusing_url))
    return changed(settings, "token", secret=SecretStr("integration-secret-of-more-than-32-bytes"))


def assert_unavailable(response: httpx2.Response) -> None:
    assert (response.status_code, response.json()["error"]) == (503, "Unavailable"), response.text
    assert response.headers["retry-after"] == "1"


async def test_what_must_be_written_is_answered_with_503(start: Start, refusing: Settings) -> None:
    async with start(refusing) as client:
        assert_unavailable(await client.put("/cache/some", content=b"x"))
        assert_unavailable(await client.post("/auth/token", data={"username": "a@example.org", "password": PASSWORD}))
        assert_unavailable(await client.post("/signup", json={"email": "a@example.org", "password": PASSWORD}))


async def test_what_is_only_cached_there_is_answered(start: Start, refusing: Settings) -> None:
    async with start(refusing) as client:
        assert (await client.get("/expensive-data")).status_code == 200
        assert (await client.get("/products")).status_code == 200


@pytest.mark.parametrize(("fail_open", "status"), [(True, 200), (False, 503)])
async def test_the_rate_limit_does_as_its_setting_says(
    start: Start, refusing: Settings, fail_open: bool, status: int
) -> None:
    async with start(changed(refusing, "rate_limit", fail_open=fail_open, timeout_seconds=20.0)) as client:
        for _ in range(3):
            assert (await client.get("/api/data")).status_code == status
