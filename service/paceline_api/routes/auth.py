"""Tokens for passwords: OAuth2's password flow, bearer tokens, and an end to them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.security import OAuth2PasswordRequestForm

from paceline_api.accounts import Account
from paceline_api.errors import (
    InvalidCredentials,
    InvalidRequest,
    InvalidToken,
    NotConfigured,
    TooManyRequests,
    Unavailable,
)
from paceline_api.routes.account_dependencies import (
    AccountByIdDep,
    AddressDep,
    AttemptsDep,
    ClaimsDep,
    PasswordsDep,
    TokensDep,
)
from paceline_api.routes.dependencies import PostgresDep
from paceline_api.schemas.accounts import AccountItem, Token
from paceline_api.schemas.errors import documented
from paceline_api.sign_in import sign_in

router = APIRouter(prefix="/auth", tags=["accounts"], responses=documented(NotConfigured, Unavailable))


@router.post("/token", responses=documented(InvalidCredentials, InvalidRequest, TooManyRequests))
async def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    response: Response,
    postgres: PostgresDep,
    passwords: PasswordsDep,
    attempts: AttemptsDep,
    tokens: TokensDep,
    address: AddressDep,
) -> Token:
    """A token for an email, as `username`, and a password."""
    account = await sign_in(
        postgres, passwords, attempts, email=form.username.lower(), password=form.password, address=address
    )
    response.headers["Cache-Control"] = "no-store"
    return Token(access_token=tokens.issue(account.id), expires_in=tokens.lifetime_seconds)


@router.get("/me", response_model=AccountItem, responses=documented(InvalidToken))
async def me(claims: ClaimsDep, account_by_id: AccountByIdDep) -> Account:
    """The account that the token is for."""
    account = await account_by_id(claims.account_id)
    if account is None:
        raise InvalidToken("the account is gone")
    return account


@router.post("/logout", status_code=204, responses=documented(InvalidToken))
async def logout(claims: ClaimsDep, tokens: TokensDep) -> None:
    """Revokes the token for all workers and pods."""
    await tokens.revoke(claims)
