"""Tokens: what is taken for one of ours, and for how long. Revocation is tested against Valkey."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_api.errors import InvalidToken
from paceline_api.tokens import Claims, Tokens
from paceline_api.verified_tokens import VerifiedTokens

SECRET = "unit-test-secret-of-more-than-32-bytes"
NOW = 1_800_000_000


class NothingRevoked:
    """The one question that reading a token asks of Redis."""

    async def mget(self, keys: list[str]) -> list[None]:
        return [None] * len(keys)


class Revoked:
    """What was revoked, and how often somebody asked."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.asked: list[list[str]] = []

    async def mget(self, keys: list[str]) -> list[bytes | None]:
        self.asked.append(keys)
        return [b"" if key in self.keys else None for key in keys]


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


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature was checked."""
    found: list[str] = []
    decode = jwt.decode

    def checked(token: str, *arguments: Any, **options: Any) -> Any:
        found.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", checked)
    return found


async def test_a_signature_is_checked_once_and_its_expiry_each_time(verified: list[str]) -> None:
    now = [float(NOW)]
    reader = Tokens(SECRET, NothingRevoked(), lifetime_seconds=900, clock=lambda: now[0])  # type: ignore[arg-type]
    token = reader.issue(7)
    assert {(await reader.read(token)).account_id for _ in range(3)} == {7}
    assert verified == [token]
    now[0] += 900
    with pytest.raises(InvalidToken, match="expired"):
        await reader.read(token)


@pytest.mark.invariant
async def test_a_remembered_token_that_is_revoked_is_refused_at_once() -> None:
    redis = Revoked()
    reader = Tokens(SECRET, redis, lifetime_seconds=900, clock=lambda: NOW)  # type: ignore[arg-type]
    token, other = reader.issue(7), reader.issue(8)
    claims = await reader.read(token)
    redis.keys.add(f"auth:revoked:{claims.token_id}")
    results = await asyncio.gather(reader.read(token), reader.read(other), return_exceptions=True)
    assert isinstance(results[0], InvalidToken)
    assert results[1] == await reader.read(other)
    assert [len(keys) for keys in redis.asked] == [1, 2, 1], "asked together, and every time"


@pytest.mark.invariant
@pytest.mark.parametrize("position", [0, 40, 100, -1])
async def test_one_character_more_or_less_is_another_token(position: int) -> None:
    reader = tokens()
    token = reader.issue(7)
    await reader.read(token)
    changed = list(token)
    changed[position] = "A" if changed[position] != "A" else "Q"
    for forged in ("".join(changed), token[:-1], token + "A", token + ".", token.lower()):
        with pytest.raises(InvalidToken):
            await reader.read(forged)


async def test_another_secret_knows_nothing_of_what_was_verified() -> None:
    token = tokens().issue(7)
    await tokens().read(token)
    with pytest.raises(InvalidToken):
        await tokens(secret="another-secret-of-more-than-32-bytes").read(token)


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    known = VerifiedTokens(most=2)
    for number in range(3):
        known.remember(f"token {number}", Claims(number, "id", NOW + 900))
    assert [known.claims_of(f"token {number}", NOW) for number in range(3)] == [
        None,
        Claims(1, "id", NOW + 900),
        Claims(2, "id", NOW + 900),
    ]


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


def raw(payload: str, header: str = '{"alg":"HS256","typ":"JWT"}') -> str:
    """Signed with the right secret, whatever it holds: json.dumps would not write all of it."""
    parts = [base64.urlsafe_b64encode(part.encode("utf-8", "surrogatepass")).rstrip(b"=") for part in (header, payload)]
    mac = hmac.new(SECRET.encode(), b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


ABSURD_NUMBERS = [
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "1" * 4400,
    str(2**63),
    str(2**1000),
    "-1",
    "1.5",
    "1e9",
]
ABSURD_VALUES = [
    *ABSURD_NUMBERS,
    f'"{NOW + 900} "',
    "true",
    "null",
    "[]",
    "{}",
    '""',
    '"\\ud800"',
    '"\\u0000"',
    '"\\u0661"',
]
ABSURD_PAYLOADS = ["", "null", "1", "NaN", '"text"', "[]", "[" * 700, "{" * 5, '{"a":' * 200, "\ud800", "{}"]
ABSURD_HEADERS = [
    *(f'{{"alg":"HS256","kid":{kid}}}' for kid in ("1e400", "1" * 1200, "[]", "{}", "null", '"' + "k" * 1500 + '"')),
    *(f'{{"alg":{alg}}}' for alg in ("[]", "{}", "null", "1", '"none"', '"HS384"', '"hs256"', '["HS256"]')),
    '{"alg":"HS256","crit":["exp"]}',
    '{"alg":"HS256","crit":[{}]}',
    '{"alg":"HS256","b64":false,"crit":["b64"]}',
    *ABSURD_PAYLOADS,
]


@pytest.mark.invariant
@pytest.mark.parametrize("value", ABSURD_VALUES, ids=range(len(ABSURD_VALUES)))
@pytest.mark.parametrize("claim", [*GOOD, "nbf", "aud", "iss", "extra"])
async def test_a_claim_that_we_never_issue_is_refused(claim: str, value: str) -> None:
    claims = {**{name: json.dumps(value) for name, value in GOOD.items()}, claim: value}
    payload = ",".join(f'"{name}":{value}' for name, value in claims.items())
    with pytest.raises(InvalidToken):
        await tokens().read(raw(f"{{{payload}}}"))


@pytest.mark.invariant
@pytest.mark.parametrize("payload", ABSURD_PAYLOADS, ids=range(len(ABSURD_PAYLOADS)))
async def test_a_payload_that_is_no_set_of_claims_is_refused(payload: str) -> None:
    with pytest.raises(InvalidToken):
        await tokens().read(raw(payload))


@pytest.mark.invariant
@pytest.mark.parametrize("header", ABSURD_HEADERS, ids=range(len(ABSURD_HEADERS)))
async def test_an_absurd_header_is_refused_or_ignored(header: str) -> None:
    """A `kid` says nothing to us: the signature decides."""
    try:
        assert (await tokens().read(raw(json.dumps(GOOD), header))).account_id == 7
        assert "kid" in header
    except InvalidToken:
        pass


@pytest.mark.invariant
@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW + 86_400 * 30},
        {"iat": NOW - 86_400, "exp": NOW + 900},
        {"iat": NOW + 3600, "exp": NOW + 3700},
        {"iat": NOW + 10, "exp": NOW + 10},
        {"sub": "0"},
        {"sub": "-7"},
        {"sub": " 7"},
        {"sub": "7\n"},
        {"sub": "1_0"},
        {"sub": str(2**63)},
        {"jti": "x" * 65},
    ],
)
async def test_a_lifetime_or_an_account_that_cannot_be_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(InvalidToken, match="not one of ours"):
        await tokens().read(signed({**GOOD, **changed}))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.invariant
@given(changed=st.dictionaries(st.sampled_from([*GOOD, "nbf", "aud"]), _json, max_size=3), header=_json)
async def test_whatever_is_signed_is_one_of_ours_or_refused(changed: dict[str, object], header: object) -> None:
    whole = {"alg": "HS256", **header} if isinstance(header, dict) else header
    for token in (
        raw(json.dumps({**GOOD, **changed})),
        raw(json.dumps(GOOD), json.dumps(whole)),
        raw(json.dumps(header)),
    ):
        with suppress(InvalidToken):
            assert isinstance(await tokens().read(token), Claims)
