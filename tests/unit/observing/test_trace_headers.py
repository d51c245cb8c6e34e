"""Check which ids of clients are taken, against the examples of W3C's Trace Context."""

from __future__ import annotations

import re

import pytest

from src.observing.trace_headers import parse_traceparent, read_ids

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    "given", ["a", "7b3f-4d", "Root=1-67891233-abcdef012345678912345678", "x" * 128, "a+b/c=@d:e.f_g"]
)
def test_safe_request_id_is_taken(given: str) -> None:
    assert read_ids([(b"x-request-id", given.encode())])[0] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\nb", "a;b", "{id}", "é", "a,b"])
def test_unsafe_request_id_is_replaced(given: str) -> None:
    made, _ = read_ids([(b"x-request-id", given.encode())])
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_request_id_sent_twice_is_replaced() -> None:
    made, _ = read_ids([(b"x-request-id", b"first"), (b"x-request-id", b"second")])
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_missing_request_ids_differ() -> None:
    assert read_ids([])[0] != read_ids([])[0]


def test_valid_traceparent_is_continued_with_a_new_span() -> None:
    _, trace = read_ids([(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())])
    assert trace == (TRACE, SPAN, "01")
    sent_back = [trace.traceparent() for _ in range(2)]
    assert all(re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", header) for header in sent_back)
    assert len({SPAN, *(header.split("-")[2] for header in sent_back)}) == 3


def test_later_version_of_traceparent_may_be_longer() -> None:
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings".encode()) == (TRACE, SPAN, "01")


@pytest.mark.parametrize(
    "header",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[1:]}-{SPAN}-01",
        "",
    ],
)
def test_invalid_traceparent_is_ignored(header: str) -> None:
    assert parse_traceparent(header.encode()) is None
