"""Accounts in PostgreSQL. A new one and its welcome mail are one transaction: both are there, or neither."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from paceline_api import outbox
from paceline_api.errors import EmailTaken

_INSERT: Final = """
INSERT INTO accounts (email, password_hash) VALUES ($1, $2)
RETURNING id, email, password_hash, created_at
"""
_BY_EMAIL: Final = "SELECT id, email, password_hash, created_at FROM accounts WHERE email = $1"
_BY_IDS: Final = "SELECT id, email, password_hash, created_at FROM accounts WHERE id = ANY($1::bigint[])"


@dataclass(frozen=True, slots=True)
class Account:
    """One row."""

    id: int
    email: str
    password_hash: str = field(repr=False)
    created_at: datetime


async def create(postgres: asyncpg.Pool, email: str, password_hash: str) -> Account:
    """The new account, its welcome mail on the way.

    Raises:
        EmailTaken: there is one with this address.
    """
    async with postgres.acquire() as connection, connection.transaction():
        try:
            row = await connection.fetchrow(_INSERT, email, password_hash)
        except asyncpg.UniqueViolationError as error:
            raise EmailTaken(f"there is an account for {email} already") from error
        account = Account(**_found(row))
        await outbox.defer(connection, outbox.WELCOME_MAIL, account_id=account.id)
        return account


def _found(row: asyncpg.Record | None) -> asyncpg.Record:
    assert row is not None, "RETURNING returns what was inserted"
    return row


async def by_email(postgres: asyncpg.Pool, email: str) -> Account | None:
    """The account with this address, in lower case."""
    if not email.isascii() or "\0" in email:
        return None  # nobody has such an address, and PostgreSQL refuses some of them
    row = await postgres.fetchrow(_BY_EMAIL, email)
    return None if row is None else Account(**row)


async def by_ids(postgres: asyncpg.Pool, account_ids: Sequence[int]) -> dict[int, Account]:
    """The accounts that there are. Requests ask for one each: see `State.account_by_id`."""
    return {row["id"]: Account(**row) for row in await postgres.fetch(_BY_IDS, account_ids)}
