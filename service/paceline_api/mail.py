"""Mails, and the server that takes them."""

from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiosmtplib

from paceline_api.accounts import Account
from paceline_api.client_settings import MailSettings
from paceline_api.errors import MailDelayed, MailRefused

_REFUSED_FROM = 500  # RFC 5321, 4.2.1: 4yz may be tried again, 5yz may not


def welcome(account: Account, sender: str) -> EmailMessage:
    """The mail that a new account gets. Sent twice, it has the same Message-ID, and many readers show it once."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = account.email
    message["Subject"] = "Welcome"
    message["Date"] = account.created_at
    message["Message-ID"] = f"<welcome-{account.id}@{sender.rpartition('@')[2].rstrip('>')}>"
    message.set_content("Your account is ready. Sign in with your email and your password.\n")
    return message


async def send(message: EmailMessage, settings: MailSettings) -> None:
    """Hands a mail to the server.

    Raises:
        MailDelayed: it is away, busy or too slow.
        MailRefused: it wants neither this mail nor another like it.
    """
    assert settings.smtp_url is not None
    server = urlsplit(settings.smtp_url.get_secret_value())
    try:
        await aiosmtplib.send(
            message,
            hostname=server.hostname,
            port=server.port,
            username=unquote(server.username) if server.username else None,
            password=unquote(server.password) if server.password else None,
            use_tls=server.scheme == "smtps",
            timeout=settings.timeout_seconds,
        )
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _refused_or_delayed(error) from error


def _refused_or_delayed(error: Exception) -> MailDelayed | MailRefused:
    codes = [one.code for one in _responses(error)]
    text = f"{type(error).__name__}: {error}"
    return MailRefused(text) if codes and min(codes) >= _REFUSED_FROM else MailDelayed(text)


def _responses(error: Exception) -> list[aiosmtplib.SMTPResponseException]:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return list(error.recipients)
    return [error] if isinstance(error, aiosmtplib.SMTPResponseException) else []
