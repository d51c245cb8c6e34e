"""Check page sizes, result ids and the cursors that continue a list."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Final, NamedTuple

from src.domain.errors import bad_value, result_not_found

MAX_PAGE_SIZE: Final = 100

_MAX_CURSOR_LENGTH: Final = 1024
MAX_ID_LENGTH: Final = 200


class Position(NamedTuple):
    """The last result of a page; the next page holds the results before it in (`created_ms`, `id`) order.

    A position stays valid if results are saved or deleted in between; a number of rows to skip would not.
    """

    created_ms: int
    id: str

    def to_cursor(self) -> str:
        """Return the opaque text that clients send back as `after`."""
        return base64.urlsafe_b64encode(json.dumps([self.created_ms, self.id]).encode()).decode().rstrip("=")

    @staticmethod
    def from_cursor(cursor: str) -> Position:
        """Read a cursor; raises InvalidInput on field `after` if `to_cursor` cannot have made it."""
        try:
            if len(cursor) > _MAX_CURSOR_LENGTH:
                raise ValueError("too long")
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            created_ms, result_id = json.loads(text)
            if type(created_ms) is not int or not isinstance(result_id, str) or not is_storable_text(result_id):
                raise ValueError("not a position")
            if not -(2**63) <= created_ms < 2**63:
                raise ValueError("not a time")
        except (ValueError, TypeError, binascii.Error, RecursionError) as error:
            raise bad_value("after", got=cursor, allowed="the cursor that came with an earlier page") from error
        return Position(created_ms, result_id)


def check_page_size(first: int) -> int:
    """Return `first`; raises InvalidInput on field `first` if it is not 1…100."""
    if not 1 <= first <= MAX_PAGE_SIZE:
        raise bad_value("first", got=first, allowed=f"a whole number from 1 to {MAX_PAGE_SIZE}")
    return first


def is_storable_text(text: str) -> bool:
    """Return whether a store can hold or search for `text`: JSON may have lone surrogates, UTF-8 has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_result_id(result_id: str) -> str:
    """Return an id that a store can search for; raises ResultNotFound if no result can have it."""
    if not result_id or len(result_id) > MAX_ID_LENGTH or not is_storable_text(result_id):
        raise result_not_found(result_id)
    return result_id
