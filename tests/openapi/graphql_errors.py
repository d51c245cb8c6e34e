"""A check for schemathesis on /graphql: whatever is refused has the code of an error that the client can mend."""

from __future__ import annotations

from typing import Final

import schemathesis

FORESEEN: Final = frozenset(
    {"FORBIDDEN", "GRAPHQL_VALIDATION_FAILED", "INVALID_INPUT", "JOB_NOT_FOUND", "MODEL_NOT_FOUND", "RESULT_NOT_FOUND",
     "SOURCE_NOT_FOUND", "SYMBOL_NOT_FOUND"}
)  # fmt: skip


@schemathesis.check
def has_only_foreseen_errors(
    context: schemathesis.CheckContext,
    response: schemathesis.Response,
    case: schemathesis.Case,
) -> None:
    """Raise AssertionError if a response is no GraphQL, or has an error of another code."""
    assert response.status_code == 200, response.text
    codes = {error.get("extensions", {}).get("code") for error in response.json().get("errors", ())}
    assert codes <= FORESEEN, codes - FORESEEN
