"""What can go wrong between an exchange and us, each as one value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Row: TypeAlias = list[int | str]

FIREWALL_PAGE = b"<!DOCTYPE html><html><head><title>ERROR: blocked</title></head><body>Request blocked.</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one answer differs from the right one.

    `status` and `body` replace it; `change` alters its rows; `keep_share` cuts its text; `promise_bytes` makes
    Content-Length so much longer than what is sent; `hang_s` waits first.
    """

    status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_s: float = 0.0
    change: Callable[[list[Row]], list[Row]] | None = None
    keep_share: float = 1.0
    promise_bytes: int = 0


def tamper(content: object, fault: Fault | None) -> object:
    """Return the answer's content, its rows changed where the fault says so."""
    if fault is None or fault.change is None or not isinstance(content, list):
        return content
    return fault.change(content)


def too_many_requests(retry_after_s: int | None) -> Fault:
    return _refusal(429, -1003, "Too many requests; current limit of IP is 6000 requests per minute.", retry_after_s)


def banned(retry_after_s: int | None) -> Fault:
    return _refusal(418, -1003, "Way too many requests; IP banned.", retry_after_s)


def restricted_location() -> Fault:
    return _refusal(451, 0, "Service unavailable from a restricted location according to 'b. Eligibility'.")


def firewall_page() -> Fault:
    return Fault(status=403, body=FIREWALL_PAGE, headers={"Content-Type": "text/html"})


def server_error(status: int = 500) -> Fault:
    return Fault(status=status, body=b"<html>Internal Server Error</html>", headers={"Content-Type": "text/html"})


def refusal(code: int, words: str, *, status: int = 400) -> Fault:
    return _refusal(status, code, words)


def redirect(location: str) -> Fault:
    return Fault(status=302, headers={"Location": location})


def not_klines(text: str) -> Fault:
    return Fault(status=200, body=text.encode())


def half_json() -> Fault:
    """The first half of the right text, with a Content-Length that fits it."""
    return Fault(keep_share=0.5)


def cut_connection() -> Fault:
    """The connection ends before the promised bytes came."""
    return Fault(keep_share=0.5, promise_bytes=1000)


def hang(seconds: float) -> Fault:
    """Nothing at all for so long, then the right answer."""
    return Fault(hang_s=seconds)


def dropped_rows(first: int, count: int) -> Fault:
    return Fault(change=lambda rows: rows[:first] + rows[first + count :])


def repeated_rows(first: int, count: int) -> Fault:
    return Fault(change=lambda rows: rows[: first + count] + rows[first:])


def reversed_rows() -> Fault:
    return Fault(change=lambda rows: rows[::-1])


def empty_page() -> Fault:
    return Fault(change=lambda rows: [])


def altered_row(index: int, column: int, value: int | str) -> Fault:
    """One cell of one row holds something else."""

    def change(rows: list[Row]) -> list[Row]:
        return [[*row[:column], value, *row[column + 1 :]] if i == index else row for i, row in enumerate(rows)]

    return Fault(change=change)


def altered_candle(open_time_ms: int, column: int, value: int | str) -> Fault:
    """One cell of the row of one time, wherever it stands, holds something else."""

    def change(rows: list[Row]) -> list[Row]:
        return [[*row[:column], value, *row[column + 1 :]] if row[0] == open_time_ms else row for row in rows]

    return Fault(change=change)


def every_nth_dropped(step: int) -> Fault:
    return Fault(change=lambda rows: [row for index, row in enumerate(rows) if index % step != 7])


def other_page(shift_ms: int) -> Fault:
    """The rows of another time than was asked for."""
    return Fault(
        change=lambda rows: [[int(row[0]) + shift_ms, *row[1:6], int(row[6]) + shift_ms, *row[7:]] for row in rows]
    )


def _refusal(status: int, code: int, words: str, retry_after_s: int | None = None) -> Fault:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Fault(status=status, body=json.dumps({"code": code, "msg": words}).encode(), headers=headers)
