"""What a response of the API server that is no success means: try again, look again, or tell a person. Pure."""

from typing import Final

import orjson

from paceline_operator.core.model.decision import Reason
from paceline_operator.ports import Conflict, PlatformRefused, PlatformUnavailable

_TRANSIENT: Final = frozenset({408, 425, 429, 502, 503, 504})
_DENIED: Final = ("denied the request", "denied request", "failed calling webhook")
"""How admission webhooks and policies begin; a webhook may give any status."""
_LONGEST: Final = 1000


class Missing(Exception):
    """404: what the path names does not exist. The caller says what that means."""


def error_of(status: int, request: str, content: bytes) -> Exception:
    """The error of a response with status 300 and above."""
    message = message_of(content)
    if any(text in message for text in _DENIED):
        return PlatformRefused(
            Reason.ADMISSION_DENIED, f"{message}; change that admission rule, or exempt what Paceline writes from it"
        )
    match status:
        case 404:
            return Missing(message)
        case 409:
            return Conflict(message)
        case 401:
            return PlatformUnavailable(f"the API server does not accept the operator's credentials for {request}")
        case 403:
            return _forbidden(message)
        case 429:
            return PlatformUnavailable(f"the API server is too busy for {request}")
    told = f"the API server responded {status} to {request}: {message}"
    if status in _TRANSIENT or status >= 500:
        return PlatformUnavailable(told)
    return PlatformRefused(Reason.REQUEST_REFUSED, told)


def _forbidden(message: str) -> PlatformRefused:
    if "exceeded quota" in message:
        return PlatformRefused(Reason.QUOTA_EXCEEDED, f"{message}; raise the quota by what Paceline needs")
    return PlatformRefused(Reason.FORBIDDEN, f"{message}; add this right to the operator's role")


def message_of(content: bytes) -> str:
    """The message of a Status object; of anything else the first line."""
    try:
        return str(orjson.loads(content)["message"])[:_LONGEST]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return content.decode("utf-8", "replace").partition("\n")[0][:200] or "no message"
