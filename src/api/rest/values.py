"""What values may be, for OpenAPI: the rules of the domain in the words of JSON Schema.

The checks themselves, and their messages, are the domain's. Rules about two fields (fast < slow) cannot be
written here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from src.domain.datasets import DATASET_NAME_PATTERN
from src.domain.market import INTERVALS, MAX_SYMBOL_TEXT_LENGTH, SYMBOL_PATTERN
from src.domain.model_files import MAX_MODEL_NAME_LENGTH, USER_ID_PATTERN
from src.domain.trading import LARGEST_AMOUNT, SMALLEST_CASH, SMALLEST_SIZE

Schema = dict[str, Any]

USER_ID: Final[Schema] = {"pattern": USER_ID_PATTERN}
SYMBOL: Final[Schema] = {"pattern": SYMBOL_PATTERN, "maxLength": MAX_SYMBOL_TEXT_LENGTH}
DATASET_NAME: Final[Schema] = {"pattern": DATASET_NAME_PATTERN}
MODEL_NAME: Final[Schema] = {"maxLength": MAX_MODEL_NAME_LENGTH}
INTERVAL: Final[Schema] = {"enum": list(INTERVALS)}
CURSOR: Final[Schema] = {"minLength": 1}
_DAY: Final = (
    r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|[12]\d))"  # 02-29 in any year
)
_HOUR_AND_MINUTE: Final = r"([01]\d|2[0-3]):[0-5]\d"
DATE: Final[Schema] = {
    "pattern": rf"^(19[7-9]\d|2[01]\d\d|2200)-{_DAY}"
    rf"([T ]{_HOUR_AND_MINUTE}(:[0-5]\d([.,]\d+)?)?(Z|[+-]([01]\d|2[0-3])(:?\d{{2}})?)?)?$"
}
COUNT: Final[Schema] = {"minimum": 1}
RATE: Final[Schema] = {"minimum": 0, "exclusiveMaximum": 1}
POSITIVE_RATE: Final[Schema] = {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
SHARE: Final[Schema] = {"exclusiveMinimum": 0, "maximum": 1}
POSITIVE: Final[Schema] = {"exclusiveMinimum": 0}
CASH: Final[Schema] = {"minimum": SMALLEST_CASH, "maximum": LARGEST_AMOUNT}
SIZE: Final[Schema] = {"minimum": SMALLEST_SIZE, "maximum": LARGEST_AMOUNT}


def optional(schema: Schema) -> Schema:
    """Return a schema that allows null as well: all but `enum` concern values of their own type only."""
    return {"enum": [*schema["enum"], None]} if "enum" in schema else schema


def any_case(kind: type[StrEnum]) -> Schema:
    """Return the schema of a member's name in capitals or small letters; the checks take it in any case."""
    return {"enum": [text for member in kind for text in dict.fromkeys((member.value, member.value.lower()))]}
