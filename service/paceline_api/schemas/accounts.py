"""What /signup and /auth take and return."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, SecretStr, StringConstraints

_ADDRESS: Final = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+$"  # as browsers check it
)

Email = Annotated[
    str,
    StringConstraints(to_lower=True, max_length=254, pattern=_ADDRESS),
    Field(description="Compared without regard to case.", examples=["ada@example.org"]),
]
Password = Annotated[SecretStr, Field(min_length=10, max_length=1024, description="At least 10 characters.")]


class Signup(BaseModel):
    """Who wants an account."""

    email: Email
    password: Password


class AccountItem(BaseModel):
    """An account, as its owner sees it."""

    id: int
    email: str
    created_at: datetime


class Token(BaseModel):
    """RFC 6749, 5.1."""

    access_token: str
    token_type: Literal["bearer"] = Field(default="bearer")
    expires_in: int = Field(description="Seconds.")
