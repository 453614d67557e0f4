"""Requests made from the API's own description, good and bad: none ends in a response that it does not describe.

Each operation gets some at random, beside the edge cases of each parameter; under `make fuzz` 10,000 and more in all.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from api_server import served
from examples import FUZZING, examples
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from mongo import MISSING, mongo_program
from paceline_api.app import create_app
from paceline_api.settings import PostgresSettings, RedisSettings, Settings
from pydantic import SecretStr
from reference_api import changed

EXAMPLES = examples(10, 600)
FEW_ITERATIONS, MOST_ITERATIONS = 100, 10_000
PASSWORD = "correct horse battery staple"
BOTH = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]

schema = schemathesis.openapi.from_dict(create_app().openapi())
schema.config.generation.update(modes=BOTH)


@pytest.fixture(scope="module")
def address(migrated_dsn: str, valkey_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An API with all the backends that there are, and limits that the test stays below."""
    settings = Settings(
        postgres=PostgresSettings(url=SecretStr(migrated_dsn)), redis=RedisSettings(url=SecretStr(valkey_url))
    )
    if mongo_program() is not None:
        settings = changed(settings, "mongo", url=SecretStr(f"{request.getfixturevalue('mongo_url')}generated"))
    settings = changed(settings, "token", secret=SecretStr("0123456789abcdef0123456789abcdef"))
    settings = changed(settings, "rate_limit", requests=10**9)
    settings = changed(settings, "sign_in", attempts_per_account=10**9, attempts_per_address=10**9)
    with served(settings) as address:
        yield address


@pytest.fixture
def token(address: str) -> str:
    """Of an account."""
    account = {"email": "somebody@example.org", "password": PASSWORD}
    requests.post(f"{address}/signup", json=account, timeout=30)
    form = {"username": account["email"], "password": PASSWORD}
    response = requests.post(f"{address}/auth/token", data=form, timeout=30)
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


def shorten(tile: Any) -> None:
    """Ten seconds of a core would show nothing more."""
    iterations = tile.get("iterations") if isinstance(tile, dict) else None
    if isinstance(iterations, int) and FEW_ITERATIONS < iterations <= MOST_ITERATIONS:
        tile["iterations"] = FEW_ITERATIONS


@pytest.mark.fuzz
@schema.parametrize()
@hypothesis_settings(
    max_examples=EXAMPLES, deadline=None, derandomize=not FUZZING, suppress_health_check=list(HealthCheck)
)
def test_a_response_is_as_described(case: schemathesis.Case, address: str, token: str) -> None:
    if case.path.startswith("/documents") and mongo_program() is None:
        pytest.skip(MISSING)
    if case.path == "/process":
        shorten(case.body)
    case.call_and_validate(base_url=address, headers={"Authorization": f"Bearer {token}"})
