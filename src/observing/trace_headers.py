"""Read and write the ids that clients and proxies send: `X-Request-ID` and `traceparent` (W3C Trace Context)."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable
from typing import Final, NamedTuple

REQUEST_ID: Final = b"x-request-id"
TRACEPARENT: Final = b"traceparent"

_SAFE_ID: Final = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")
"""What ids of proxies and tracers consist of. Neither spaces nor quotes, so that no id can look like another field."""

_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_UNKNOWN_VERSION: Final = b"ff"


class TraceContext(NamedTuple):
    """A trace that the client takes part in: ids in lower-case hex, the flags as sent."""

    trace_id: str
    parent_id: str
    flags: str

    def traceparent(self, span_id: str | None = None) -> str:
        """Return the header that names this trace, and `span_id` (a new one for None) in it."""
        return f"00-{self.trace_id}-{span_id or os.urandom(8).hex()}-{self.flags}"


def read_ids(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, TraceContext | None]:
    """Return the request's id and its trace; a new id for one that is missing, sent twice or not safe.

    `headers` are those of an ASGI scope, with names in lower case.
    """
    ids, traces = [], []
    for name, value in headers:
        if name == REQUEST_ID:
            ids.append(value)
        elif name == TRACEPARENT:
            traces.append(value)
    is_given = len(ids) == 1 and _SAFE_ID.fullmatch(ids[0])
    request_id = ids[0].decode() if is_given else uuid.uuid4().hex
    return request_id, parse_traceparent(traces[0]) if len(traces) == 1 else None


def parse_traceparent(value: bytes) -> TraceContext | None:
    """Return the trace of a header; None if it is invalid (https://www.w3.org/TR/trace-context/#traceparent-header)."""
    found = _TRACEPARENT.fullmatch(value)
    if found is None:
        return None
    version, trace_id, parent_id, flags, rest = found.groups()
    is_known = version != _UNKNOWN_VERSION and not (version == b"00" and rest is not None)
    if not is_known or not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return TraceContext(trace_id.decode(), parent_id.decode(), flags.decode())
