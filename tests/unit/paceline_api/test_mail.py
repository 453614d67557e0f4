"""A mail to any address that is taken has one recipient, and the headers that we gave it."""

from datetime import UTC, datetime

import pytest
from paceline_api.accounts import Account
from paceline_api.mail import welcome
from paceline_api.schemas.accounts import Signup
from pydantic import ValidationError

HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
ADDRESSES = [
    "ada@example.org",
    *(f"a{mark}b@example.org" for mark in "!#$%&'*+/=?^_`{|}~-.,;:\\\"() <>[]\r\n\t\0"),
    "a@example.org\r\nBcc: b@example.org",
    "a@example.org%0d%0aBcc:b@example.org",
    "=?utf-8?q?a=0d=0aBcc:b?=@example.org",
    "a@example.org\u2028Bcc: b@example.org",
]


@pytest.mark.invariant
@pytest.mark.parametrize("email", ADDRESSES)
def test_no_address_adds_a_header_or_a_recipient(email: str) -> None:
    try:
        taken = Signup.model_validate({"email": email, "password": "ten letters"}).email
    except ValidationError:
        return
    mail = welcome(Account(7, taken, "", datetime(2026, 1, 1, tzinfo=UTC)), "Paceline <hello@example.org>")
    assert sorted(mail.keys()) == sorted(HEADERS)
    lines = mail.as_bytes().split(b"\n\n", 1)[0].decode()
    assert "bcc:" not in {line.split(" ")[0].lower() for line in lines.splitlines()}
    assert len(mail["To"].addresses) == 1
    assert mail["To"].addresses[0].addr_spec == taken
