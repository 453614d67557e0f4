"""The W3C `traceparent` header. Never fails on what a client sends.

Source: W3C Trace Context, level 2, "traceparent header". Worked example:
`00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01` → trace 0x0af7…, parent span 0xb7ad…, sampled.
"""

import re
from typing import Final, NamedTuple

from opentelemetry.trace import Link, SpanContext, TraceFlags

_FORMAT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1


class Remote(NamedTuple):
    """Where a request comes from: the caller's trace, its span, and whether it records that trace."""

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(header: bytes | str) -> Remote | None:
    """The caller's trace; None for anything malformed, which the specification wants ignored."""
    raw = header.encode("latin-1", "replace") if isinstance(header, str) else header
    match = _FORMAT.fullmatch(raw)
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id or (version == b"00" and rest):
        return None
    return Remote(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def links_to(traceparent: str | None) -> list[Link]:
    """For the span of what a caller's span has caused; empty for None and for anything malformed."""
    remote = parse_traceparent(traceparent) if traceparent else None
    if remote is None:
        return []
    flags = TraceFlags(TraceFlags.SAMPLED if remote.sampled else TraceFlags.DEFAULT)
    return [Link(SpanContext(remote.trace_id, remote.span_id, True, flags))]
