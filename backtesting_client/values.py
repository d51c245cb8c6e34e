"""Write Python values as the service reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import numpy as np
import pandas as pd

Instant: TypeAlias = str | date | None
"""A text (YYYY-MM-DD or ISO 8601), a date, a datetime or a pandas Timestamp; UTC if it has no zone."""

_SHORT_NAMES: Final = {"start": "start_date", "end": "end_date"}


def json_values(given: Mapping[str, object]) -> dict[str, Any]:
    """Return what is given under the service's names, as JSON values; None means not given."""
    return {_SHORT_NAMES.get(name, name): json_value(value) for name, value in given.items() if value is not None}


def text_values(given: Mapping[str, object]) -> dict[str, str]:
    """Return what is given under the service's names, as texts of a form or a query."""
    return {name: _text(value) for name, value in json_values(given).items()}


def path_part(text: str) -> str:
    """Return a text as one part of a path; ValueError if it has a slash, because the service would see two parts."""
    if "/" in text:
        raise ValueError(f"{text[:100]!r} has a slash. Allowed: a name or an id.")
    return quote(text, safe="")


def json_value(value: object) -> Any:
    """Return a JSON value: instants as ISO 8601 in UTC (days as days), numpy's numbers as Python's."""
    if isinstance(value, (datetime, np.datetime64)):
        instant = pd.Timestamp(value)
        instant = instant.tz_localize("UTC") if instant.tz is None else instant.tz_convert("UTC")
        return instant.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [json_value(item) for item in value]
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)
