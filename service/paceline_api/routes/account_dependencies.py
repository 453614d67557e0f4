"""What routes about accounts ask for: who asks, with which token, and what it takes to tell."""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from paceline import tune

from paceline_api.accounts import Account
from paceline_api.errors import InvalidCredentials, NotConfigured
from paceline_api.passwords import Passwords
from paceline_api.rate_limit import client_key
from paceline_api.security_store import SecurityStore
from paceline_api.sign_in import Attempts
from paceline_api.tokens import Claims, Tokens

_BEARER: Final = OAuth2PasswordBearer(tokenUrl="auth/token", auto_error=False)  # the response is a Problem of ours


async def _account_by_id(request: Request) -> tune.Batch[int, Account]:
    lookups: tune.Batch[int, Account] = request.state.account_by_id
    return lookups


async def _passwords(request: Request) -> Passwords:
    passwords: Passwords = request.state.passwords
    return passwords


async def _attempts(request: Request) -> Attempts:
    await _require_security(request)
    attempts: Attempts = request.state.attempts
    return attempts


async def _tokens(request: Request) -> Tokens:
    tokens: Tokens | None = request.state.tokens
    if tokens is None:
        raise NotConfigured("this installation signs nobody in: API_TOKEN_SECRET is not set")
    await _require_security(request)
    return tokens


async def _require_security(request: Request) -> None:
    """Fails closed where a revocation or a count could be evicted."""
    security: SecurityStore = request.state.security
    await security.require()


async def _address(request: Request) -> str:
    return client_key(request.scope)


async def _claims(
    tokens: Annotated[Tokens, Depends(_tokens)], bearer: Annotated[str | None, Depends(_BEARER)]
) -> Claims:
    if bearer is None:
        raise InvalidCredentials("send a token: Authorization: Bearer ...")
    return await tokens.read(bearer)


AccountByIdDep = Annotated[tune.Batch[int, Account], Depends(_account_by_id)]
AddressDep = Annotated[str, Depends(_address)]
AttemptsDep = Annotated[Attempts, Depends(_attempts)]
ClaimsDep = Annotated[Claims, Depends(_claims)]
PasswordsDep = Annotated[Passwords, Depends(_passwords)]
TokensDep = Annotated[Tokens, Depends(_tokens)]
