"""The names of fields in errors: the service speaks of them in camelCase, REST takes and names them in snake_case."""

from __future__ import annotations

import re
from typing import Final

from src.api.spelling import camel_case, snake_case
from src.domain.parameters import parameters_of
from src.domain.runs import BacktestRequest
from src.strategies.registry import PARAMS

_OTHER_NAMES: Final = {"mlModelFile": "file"}
"""Fields that REST's forms give another name than GraphQL's arguments."""

_DECLARATIONS: Final[tuple[type, ...]] = (BacktestRequest, *PARAMS.values())
_SNAKE_CASE_NAMES: Final = (
    *(item.parameter.name for kind in _DECLARATIONS for item in parameters_of(kind)),
    "model_name", "fetch_input", "ma_crossover_params", "date_format",
)  # fmt: skip
_REST_NAMES: Final = {camel_case(name): name for name in _SNAKE_CASE_NAMES if "_" in name} | _OTHER_NAMES
# Not in quotes: there stands what the client sent.
_MENTIONED: Final = re.compile(rf"(?<![\w'\"])({'|'.join(sorted(_REST_NAMES, key=len, reverse=True))})(?![\w'\"])")


def rest_name(field: str) -> str:
    """Return the name that REST has for a field."""
    return _REST_NAMES.get(field) or snake_case(field)


def in_rest_words(message: str) -> str:
    """Return a message with every field that it mentions under REST's name."""
    return _MENTIONED.sub(lambda found: _REST_NAMES[found[1]], message)
