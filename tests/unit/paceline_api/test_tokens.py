"""Tokens: what is taken for one of ours, and for how long. Revocation is tested against Valkey."""

import base64
import json
from collections.abc import Mapping

import jwt
import pytest
from paceline_api.errors import InvalidToken
from paceline_api.tokens import Claims, Tokens

SECRET = "unit-test-secret-of-more-than-32-bytes"
NOW = 1_800_000_000


class NothingRevoked:
    """The one question that reading a token asks of Redis."""

    async def exists(self, key: str) -> int:
        return 0


def tokens(secret: str = SECRET, now: float = NOW) -> Tokens:
    return Tokens(secret, NothingRevoked(), lifetime_seconds=900, clock=lambda: now)  # type: ignore[arg-type]


async def test_a_token_says_whose_it_is_and_until_when() -> None:
    claims = await tokens().read(tokens().issue(7))
    assert claims == Claims(7, claims.token_id, NOW + 900)


async def test_no_two_tokens_have_one_id() -> None:
    ids = {(await tokens().read(tokens().issue(7))).token_id for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(("age", "is_good"), [(0, True), (899, True), (900, False), (10_000, False)])
async def test_it_expires(age: int, is_good: bool) -> None:
    token = tokens().issue(7)
    later = tokens(now=NOW + age)
    if is_good:
        assert (await later.read(token)).account_id == 7
    else:
        with pytest.raises(InvalidToken, match="expired"):
            await later.read(token)


def signed(claims: Mapping[str, object], **options: str) -> str:
    return jwt.encode(dict(claims), **{"key": SECRET, "algorithm": "HS256", **options})  # type: ignore[arg-type]


GOOD = {"sub": "7", "iat": NOW, "exp": NOW + 900, "jti": "a"}


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, GOOD)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        unsigned(),
        signed(GOOD, key="another-secret-of-more-than-32-bytes"),
        signed(GOOD, algorithm="HS384", key=SECRET * 2),
        signed({**GOOD, "sub": "seven"}),
        *(signed({name: value for name, value in GOOD.items() if name != left_out}) for left_out in GOOD),
        signed({**GOOD, "exp": "soon"}),
    ],
)
async def test_what_is_none_of_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken, match="not one of ours"):
        await tokens().read(token)


async def test_the_one_that_the_others_differ_from_is_good() -> None:
    assert (await tokens().read(signed(GOOD))).account_id == 7
