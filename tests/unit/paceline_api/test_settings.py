"""The reference API's settings: nothing unsafe by default, mistakes named without their values."""

import subprocess
import sys

import pytest
from paceline_api.errors import ConfigurationError
from paceline_api.settings import Settings, load_settings

DATABASE = "postgresql://api:Dq8k2-long-enough@db:5432/shop"
REDIS = "redis://:Dq8k2-long-enough@redis:6379/0"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("REDIS_URL", REDIS)
    return monkeypatch


def test_two_addresses_are_enough(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    assert settings.postgres.url.get_secret_value() == DATABASE
    assert settings.postgres.limit <= settings.postgres.cap


def test_redis_may_listen_on_a_socket(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_URL", "unix:///run/valkey/valkey.sock?db=1")
    assert load_settings().redis.url.get_secret_value().startswith("unix:///run")


@pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL"])
def test_there_is_no_default_address(environment: pytest.MonkeyPatch, variable: str) -> None:
    environment.delenv(variable)
    with pytest.raises(ConfigurationError, match=f"^environment variable {variable} is not set$"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DATABASE_URL", "mysql://u:hidden@db/shop", "write postgresql://USER:PASSWORD@HOST:PORT/NAME"),
        ("DATABASE_URL", "postgresql:///shop", "write postgresql://USER:PASSWORD@HOST:PORT/NAME"),
        ("DATABASE_URL", "postgresql://postgres:postgres@db/shop", "one that everybody knows"),
        ("REDIS_URL", "redis://:changeme@redis/0", "one that everybody knows"),
        ("SECURITY_REDIS_URL", "redis://:changeme@security/0", "one that everybody knows"),
        ("MONGO_URL", "http://db/shop", "write mongodb://USER:PASSWORD@HOST:PORT/NAME"),
        ("MONGO_URL", "mongodb://api:example@db/shop", "one that everybody knows"),
        ("UPSTREAM_URL", "users.shop.svc", "write http://HOST:PORT"),
        ("API_POSTGRES_LIMIT", "0", "greater than or equal to 1"),
        ("API_POSTGRES_TIMEOUT_SECONDS", "soon", "valid number"),
    ],
    ids=[
        "another database",
        "no host",
        "a usual password",
        "another usual password",
        "a usual password for what must be secure",
        "no MongoDB",
        "a usual password of MongoDB",
        "no scheme",
        "no connections",
        "not a number",
    ],
)
def test_a_wrong_value_is_named_but_not_shown(
    environment: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    environment.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    text = str(caught.value)
    assert text.startswith(f"environment variable {variable} is wrong: ")
    assert message in text
    assert value not in text
    assert "hidden" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_usual_password_is_fine_on_this_machine(environment: pytest.MonkeyPatch, host: str) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://postgres:postgres@{host}:5432/shop")
    load_settings()


@pytest.mark.parametrize(
    "secret", ["short-but-random-9f2c", "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"]
)
def test_a_secret_that_can_be_guessed_is_for_this_machine_alone(environment: pytest.MonkeyPatch, secret: str) -> None:
    environment.setenv("API_TOKEN_SECRET", secret)
    with pytest.raises(ConfigurationError, match=r"^environment variable API_TOKEN_SECRET is wrong: ") as caught:
        load_settings()
    assert secret not in str(caught.value)
    environment.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/shop")
    load_settings()


def test_a_long_random_secret_is_fine_anywhere(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("API_TOKEN_SECRET", "5b1f0c6a9e7d4f83a2c4e6b8d0f1a3c5")
    assert "5b1f0c6a9e7d" not in repr(load_settings())


def test_passwords_do_not_appear_in_what_is_printed(environment: pytest.MonkeyPatch) -> None:
    assert "long-enough" not in repr(load_settings())
    assert "long-enough" not in str(load_settings().model_dump())


def test_importing_the_application_reads_and_opens_nothing() -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*arguments): raise AssertionError('a socket at import')\n"
        "socket.socket.connect = refuse\n"
        "from paceline_api.app import app\n"
        "from paceline import tune\n"
        "assert tune.tunables.report()['pools'] == {}, 'a pool at import'\n"
        "assert app.openapi()['info']['title']\n"
    )
    subprocess.run([sys.executable, "-c", program], env={"PATH": ""}, check=True, timeout=60)


def test_settings_cannot_be_changed(environment: pytest.MonkeyPatch) -> None:
    settings: Settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.postgres.limit = 9  # type: ignore[misc]
