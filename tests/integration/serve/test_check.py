"""`paceline check`: what an application would do under `paceline serve`, before any deploy."""

import os
import subprocess
import sys
from pathlib import Path

from serving import APPLICATIONS


def _check(
    target: str, folder: Path = APPLICATIONS, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "paceline", "check", target, *options],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_ordinary_application_has_nothing_to_hide() -> None:
    result = _check("fast:app")
    assert (result.returncode, result.stderr) == (0, "")
    assert "fast:app loads and starts (its lifespan was run once; --no-lifespan leaves it out)" in result.stdout
    assert "pool threads: 40 of at most 400" in result.stdout
    assert "no pool and no cache is registered: only workers and threads can be tuned" in result.stdout
    assert "preload" not in result.stdout


def test_what_is_alive_before_the_fork_is_named() -> None:
    result = _check("threaded:app")
    assert result.returncode == 0
    assert "thread 'outbox poller'; preload will be off" in result.stdout
    assert "connection to 127.0.0.1:" in result.stdout


def test_tunables_and_tasks_of_the_lifespan_are_named(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("""
import asyncio
from contextlib import asynccontextmanager
from fastapi import FastAPI
from paceline import tune

@tune.cache(name="answers", ttl=60, key="answers:{number}")
async def load_answer(number: int) -> int:
    return number

async def poll_outbox():
    await asyncio.sleep(3600)

@tune.once_per_pod
async def schedule():
    await asyncio.sleep(3600)

@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(poll_outbox())
    async with tune.running():
        yield
    task.cancel()

app = FastAPI(lifespan=lifespan)
""")
    result = _check("tasks:app", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "cache answers: TTL 60 s" in result.stdout
    assert "runs once in every worker: poll_outbox" in result.stdout
    assert "runs once in the pod: tasks.schedule" in result.stdout
    assert "runs once in every worker: schedule" not in result.stdout


def test_a_pool_that_could_be_tuned_and_is_not_is_named(tmp_path: Path) -> None:
    (tmp_path / "forgets.py").write_text("""
from fastapi import FastAPI
from paceline import tune
from redis.asyncio import Redis

named = tune.pool(Redis.from_url("redis://127.0.0.1:1", max_connections=5), name="redis", limit=2)
forgotten = Redis.from_url("redis://127.0.0.1:1")
app = FastAPI()
""")
    result = _check("forgets:app", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "pool redis: 2 of at most 5" in result.stdout
    assert (
        "not tuned: redis.asyncio.connection.ConnectionPool, made at forgets.py:7; every worker has one of its own, "
        "of any size: hand it to tune.pool"
    ) in result.stdout
    (tmp_path / "forgets.py").write_text((tmp_path / "forgets.py").read_text().replace("forgotten =", "# "))
    assert "not tuned" not in _check("forgets:app", tmp_path).stdout


def test_security_schemes_of_cached_routes_are_named(tmp_path: Path) -> None:
    result = _check("cached:app")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line for line in result.stdout.splitlines() if line.startswith("cached route ")]
    assert [line.partition(", which")[0] for line in lines] == [
        "cached route /optional: the security scheme APIKeyHeader reads the header X-API-Key",
        "cached route /reports: the security scheme APIKeyHeader reads the header X-API-Key",
    ]
    (tmp_path / "schemes.py").write_text("""
from fastapi import Depends, FastAPI
from fastapi.security import APIKeyCookie, APIKeyQuery, HTTPBearer
from paceline.middleware import CachedRoute, ResponseCacheMiddleware

sub = FastAPI()

@sub.get("/x/{id}", dependencies=[Depends(HTTPBearer())])
async def bearer(id: int): ...

@sub.get("/y", dependencies=[Depends(APIKeyCookie(name="sid")), Depends(APIKeyQuery(name="key"))])
async def others(): ...

main = FastAPI()
main.mount("/v1", sub)
route = CachedRoute(name="a", ttl=1)
app = ResponseCacheMiddleware(main, routes={"/v1/x/{number}": route, "/v1/y": route})
""")
    result = _check("schemes:app", tmp_path)
    assert "cached route /v1/x/{number}: the security scheme HTTPBearer reads the header Authorization" in result.stdout
    assert "cached route /v1/y: the security scheme APIKeyCookie reads the cookie sid" in result.stdout
    assert "cached route /v1/y: the security scheme APIKeyQuery reads the query parameter key" in result.stdout


def test_every_pool_is_listed_with_number_and_place_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "many.py").write_text("""
from fastapi import FastAPI
from redis import Redis
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

URL = "postgresql+psycopg://nobody@127.0.0.1:1/none"
engines = [create_engine(URL) for _ in range(3)]
another = create_engine(
    URL,
)
each_time = create_engine(URL, poolclass=NullPool)
blocking = Redis.from_url("redis://127.0.0.1:1")
local = create_engine("sqlite://")
create_engine(URL)
app = FastAPI()
""")
    lines = [line for line in _check("many:app", tmp_path).stdout.splitlines() if line.startswith("not tuned")]
    engines, others = "4 × sqlalchemy.pool.impl.QueuePool, made at many.py:8, many.py:9; ", "tune.pool does not take it"
    assert [line.split("every worker")[0] for line in lines] == [
        "not tuned: redis.connection.ConnectionPool, made at many.py:13; ",
        "not tuned: sqlalchemy.pool.impl.NullPool, made at many.py:12; ",
        f"not tuned: {engines}",
    ]
    assert [others in line and "PACELINE_UNPOOLED" in line for line in lines] == [True, True, False]


def test_an_application_that_does_not_load_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text("raise RuntimeError('DSN is not set')")
    result = _check("raises:app", tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "DSN is not set" in result.stderr


def test_an_application_whose_start_up_fails_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    result = _check("lifecycle:app", START_FAILS=str(tmp_path / "fails"), LIFE_NOTES=str(tmp_path))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "RuntimeError: the database is away" in result.stderr


def test_the_lifespan_is_left_out_where_it_is_not_wanted(tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    environment = {"START_FAILS": str(tmp_path / "fails"), "LIFE_NOTES": str(tmp_path)}
    result = _check("lifecycle:app", APPLICATIONS, "--no-lifespan", **environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "lifecycle:app loads (its lifespan was not run" in result.stdout


def test_what_preload_would_copy_is_named(tmp_path: Path) -> None:
    (tmp_path / "copies.py").write_text("""
import random

codes = random.Random()
places = open("places.dat")
log = open("app.log", "a")

async def app(scope, receive, send): ...
""")
    (tmp_path / "places.dat").touch()
    result = _check("copies:app", tmp_path, "--no-lifespan")
    assert "alive before fork: random generator copies.codes; preload will be off" in result.stdout
    assert f"shared by workers after preload: the position in the open file {tmp_path / 'places.dat'}" in result.stdout
    assert "app.log" not in result.stdout


def test_routes_that_are_not_compiled_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "compiled.py").write_text("""
from fastapi import FastAPI
from paceline.fastapi import compile_routes

app = FastAPI()
compile_routes(app)

@app.get("/one")
async def one() -> int:
    return 1

@app.get("/lines")
async def lines():
    yield 1
""")
    result = _check("compiled:app", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "compiled: 1 of 2 FastAPI routes\n" in result.stdout
    assert "not compiled: GET /lines: its endpoint yields what FastAPI streams\n" in result.stdout
