"""Find and read the heads of results in MongoDB, where a person may have changed them.

MongoDB compares a value with those of its own type only, and a list by each of its members. Queries that name no types
would lose a damaged head, or all heads after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from src.stores.documents import UnreadableDocument

_NOT_A_LIST: Final = {"$not": {"$type": "array"}}
HAS_A_PLACE: Final = {"created_ms": {"$type": ["int", "long"], **_NOT_A_LIST}, "_id": {"$type": "string"}}
"""Finds the heads that lists can show."""

_NO_TEXT: Final = ["array", "binData", "bool", "date", "decimal", "double", "int", "long", "object", "objectId"]
HAS_NO_OWNER: Final = {"$or": [{"user_id": None}, {"user_id": {"$type": _NO_TEXT}}]}
"""Finds the heads that name no user; by types, so that an index finds them without reading all heads."""

OWNER_FIELDS: Final = {"user_id": True, "summary.request.user_id": True}
"""What `read_owner` needs of a head."""


def equals(text: str) -> Mapping[str, Any]:
    """Return the condition that a field is this text, and not a list that contains it."""
    return {"$eq": text, **_NOT_A_LIST}


def read_owner(head: Mapping[str, Any]) -> str:
    """Return the user that the head, or else its summary, names; raises UnreadableDocument if neither names one."""
    in_summary: Any = head
    for name in ("summary", "request", "user_id"):
        in_summary = in_summary.get(name) if isinstance(in_summary, Mapping) else None
    for owner in (head.get("user_id"), in_summary):
        if isinstance(owner, str):
            return owner
    raise UnreadableDocument("it does not say whose it is, so only the operator can delete it")


def read_lengths(head: Mapping[str, Any]) -> Sequence[tuple[str, int]]:
    """Return the names and lengths of a head's parts; raises UnreadableDocument if the head is damaged."""
    try:
        lengths = [(name, length) for name, length in head["parts"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableDocument("it does not say what its columns are") from error
    if not all(isinstance(name, str) and isinstance(length, int) and length >= 0 for name, length in lengths):
        raise UnreadableDocument("it does not say what its columns are")
    if not isinstance(head.get("save"), str):
        raise UnreadableDocument("it does not say where its columns are")
    return lengths


def read_number(value: Any) -> int:
    """Return a number of a head; 0 if the head is damaged."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
