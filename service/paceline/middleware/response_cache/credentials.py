"""What a header of a request means for the cache, by its name. Pure.

The route sees no header that is not declared, so a name that this module does not know cannot end up in another
client's response. Headers that look like credentials bypass the cache, so that their sender gets a response of its own.
"""

import re
from enum import Enum, auto
from typing import Final

from paceline.middleware.response_cache.route import Declared


class Kind(Enum):
    """What to do about a header."""

    HIDDEN = auto()
    """Nothing: the route does not see it, or it is declared and in the key."""
    BYPASS = auto()
    """The application responds to this request itself."""
    COOKIES = auto()
    """Look which cookies it holds."""
    ORIGIN = auto()
    """Joins the key, since CORS middleware may stand behind the cache."""
    CACHE_CONTROL = auto()
    """Look for `no-store`."""
    ETAGS = auto()
    """If-None-Match."""


COMMON: Final = frozenset(
    b"host user-agent accept accept-encoding accept-language accept-charset connection keep-alive referer dnt te "
    b"upgrade-insecure-requests priority pragma range if-range if-modified-since via forwarded x-real-ip "
    b"x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-server x-forwarded-prefix "
    b"x-request-id x-correlation-id x-requested-with traceparent tracestate baggage x-amzn-trace-id "
    b"sec-fetch-site sec-fetch-mode sec-fetch-dest sec-fetch-user sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform "
    b"sec-gpc save-data purpose x-purpose content-type".split()
)
"""Sent by browsers, proxies and HTTP libraries for everybody."""
_NOT_SHARED: Final = frozenset({b"content-length", b"transfer-encoding", b"if-match", b"if-unmodified-since"})
_BROWSER: Final = re.compile(rb"sec-(?:fetch|ch|gpc)\b")
_IDENTIFIES: Final = re.compile(
    # Anywhere in the name, `x-authtoken` included.
    rb"auth|token|secret|passw|session|cookie|credential|api-?key|jwt|identity|principal|signature|saml|oidc|userinfo"
    rb"|user(?!-agent)|certificate|assertion|tenant|account|customer|e-?mail|bearer|ticket|licen[cs]e|permission"
    rb"|privilege|entitle|workspace|merchant|partner|subscri|visitor|anonymous-id|distinct-id|kerberos|ldap|profile"
    # Whole words.
    rb"|(?:^|-)(?:key|sid|uid|upn|eppn|dn|cert|pat|login|roles?|groups?|claims?|member|org|organi[sz]ation|employee"
    rb"|sub|subject|actor|dpop|hmac|shib|impersonate|access|password|pin|otp|nonce|consumer|device-id|client-id|owner"
    rb"|realm|caller|requester|person|team|company|admin|on-behalf-of|act-as|run-as|acting-as|sudo|client-verify)(?:-|$)"
    # Families of proxies and gateways.
    rb"|^proxy-|^from$|^(?:x-)?ssl-client|^cf-access-|^x-amzn-oidc-|^x-ms-client-|^x-goog-iap-|^x-hasura-"
    rb"|^(?:x-)?remote-(?!addr$|ip$|port$|host$)"
)


def is_credential(name: bytes) -> bool:
    """Whether a header of that name, in lower case, may tell who the client is; `_` counts as `-`."""
    name = name.replace(b"_", b"-")
    return not _BROWSER.match(name) and name not in COMMON and _IDENTIFIES.search(name) is not None


def kind_of(name: bytes, declared: Declared) -> Kind:
    """What to do about a header of that name, in any case."""
    name = name.lower()
    if name in declared.headers:
        return Kind.HIDDEN
    if name == b"cookie" and declared.cookies:
        return Kind.COOKIES
    if name in declared.ignored:
        return Kind.HIDDEN
    if name in declared.bypass or name in _NOT_SHARED:
        return Kind.BYPASS
    special = {b"origin": Kind.ORIGIN, b"cache-control": Kind.CACHE_CONTROL, b"if-none-match": Kind.ETAGS}
    return special.get(name) or (Kind.BYPASS if is_credential(name) else Kind.HIDDEN)
