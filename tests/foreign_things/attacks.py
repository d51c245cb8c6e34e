"""What a user has, and the shape of a request by another user.

`{name}` in a path, query, body or document is replaced by a property of `Things`: in an attack by those of the victim.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

MARKET: Final = {"symbol": "BTCUSDT", "interval": "1h", "source": "simulated", "seed": 7, "limit": 300}
RSI: Final = {**MARKET, "strategy": {"rsi": {"length": 5}}}
SWEPT: Final = [{"name": "low", "values": [20, 25]}, {"name": "high", "values": [60, 70]}]
PORTFOLIO: Final[dict[str, Any]] = {
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "backtest": {name: value for name, value in RSI.items() if name != "symbol"},
}
CSV: Final = b"Date,Open,High,Low,Close,Volume\n2024-01-01,1,2,1,2,5\n2024-01-02,2,3,2,3,5\n2024-01-03,3,4,3,4,5\n"


@dataclass(frozen=True, kw_only=True)
class Things:
    """What a user has: ids, names and paths."""

    user: str
    key: str = field(repr=False, default="")
    result: str = ""
    job: str = ""
    sweep: str = ""
    walk: str = ""
    portfolio: str = ""
    model: str = ""
    model_path: str = ""
    dataset: str = ""
    jobs_cursor: str = ""
    results_cursor: str = ""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One request by another user; `allowed` are the codes of which one must come back.

    `reads`: the victim's own request of this kind succeeds and changes nothing, which the test checks too.
    """

    allowed: tuple[str, ...]
    path: str = ""
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] | None = None
    file: tuple[str, bytes] | None = None
    document: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    reads: bool = False
    finds_nothing: bool = False


FORBIDDEN: Final = ("FORBIDDEN",)
NO_RESULT: Final = ("RESULT_NOT_FOUND",)
NO_JOB: Final = ("JOB_NOT_FOUND",)
NO_MODEL: Final = ("MODEL_NOT_FOUND",)
NO_SOURCE: Final = ("SOURCE_NOT_FOUND",)
NOTHING_OF_ANYBODY: Final = "It shows nobody's things."
OWN_SESSION: Final = "It concerns the session of the request's own cookie."


def fill(template: Any, things: Things) -> Any:
    """Return a template with the things of a user in it."""
    if isinstance(template, str):
        for item in fields(things):
            template = template.replace(f"{{{item.name}}}", getattr(things, item.name))
        return template
    if isinstance(template, Mapping):
        return {name: fill(value, things) for name, value in template.items()}
    if isinstance(template, list):
        return [fill(value, things) for value in template]
    return template


FOREIGN_USER: Final = {"user_id": "{user}"}
FOREIGN_SOURCE: Final = {"symbol": "MINE", "interval": "1d", "source": "{dataset}", "limit": 3}


def describe(attack: Attack) -> str:
    """Return what tells an attack from others, for the names of tests."""
    shown = {
        name: value for name, value in asdict(attack).items() if value and name not in {"allowed", "reads", "file"}
    }
    return json.dumps(shown, default=str)[:160]
