"""Hooks for schemathesis: leave out the generated requests that OpenAPI has no words to forbid.

Everything that the service refuses must be told by its OpenAPI document. JSON Schema compares no two values and knows
no units, so a request may break one of the rules below and still be valid by the document: this list is short, and each
rule has its reason. The last four functions make up for what schemathesis 4.32 cannot do with the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import jsonschema_rs
import pandas as pd
import schemathesis
from schemathesis.generation import GenerationMode

from src.api.requests.rules import check_rules
from src.domain.intervals import DEFAULT_INTERVAL, INTERVALS, intervals_inside

_SIDES: Final = ("buy", "sell", "short", "cover")

Given = Mapping[str, Any]

_NESTED: Final = {
    "fetch_input": ("symbol", "interval", "limit", "start_date", "end_date", "source", "seed"),
    "ma_crossover_params": ("fast", "slow"),
}


_DEFAULT_PAIRS: Final[Mapping[str, tuple[str, str, float, float]]] = {
    "ma_crossover": ("fast", "slow", 20, 50),
    "ema_crossover": ("fast", "slow", 20, 50),
    "macd": ("fast", "slow", 12, 26),
    "rsi": ("low", "high", 30, 70),
}
"""Of each strategy, the parameter that is less than another one, that one, and their defaults."""


def _objects(given: Given) -> Iterator[dict[str, Any]]:
    """Yield a body as the service reads it, and the parameters of the strategies in it."""
    merged: dict[str, Any] = {}
    for part in (given, *(given.get(name) for name in _NESTED)):
        if isinstance(part, Mapping):
            merged |= {name: value for name, value in part.items() if value is not None}
    yield merged
    if isinstance(given.get("strategy"), Mapping):
        yield from (params for params in given["strategy"].values() if isinstance(params, dict))


def differs_in_two_places(given: Given) -> bool:
    """A field may stand at the top and in a nested object, with one value: no schema says that two are equal."""
    for inner, names in _NESTED.items():
        nested = given.get(inner)
        if isinstance(nested, Mapping):
            pairs = [(given.get(name), nested.get(name)) for name in names]
            if any(one is not None and other is not None and one != other for one, other in pairs):
                return True
    return False


def is_pair_not_ascending(given: Given) -> bool:
    """`fast` is less than `slow`, and `low` less than `high`: no schema compares two values."""
    chosen = given.get("strategy")
    named = [("ma_crossover", next(_objects(given))), *(chosen.items() if isinstance(chosen, Mapping) else ())]
    for strategy, params in named:
        if strategy not in _DEFAULT_PAIRS or not isinstance(params, Mapping):
            continue
        name, other, default, other_default = _DEFAULT_PAIRS[strategy]
        first = default if params.get(name) is None else params[name]
        second = other_default if params.get(other) is None else params[other]
        if _is_number(first) and _is_number(second) and float(first) >= float(second):
            return True
    return False


def is_margin_too_small(given: Given) -> bool:
    """`maintenance_margin` is less than 1 ÷ `leverage`: no schema compares two values."""
    merged = next(_objects(given))
    leverage = 1 if merged.get("leverage") is None else merged["leverage"]
    kept = 0.004 if merged.get("maintenance_margin") is None else merged["maintenance_margin"]
    return _is_number(leverage) and _is_number(kept) and float(leverage) > 1 and float(leverage) * float(kept) >= 1


def is_impact_too_large(given: Given) -> bool:
    """`slippage` + `volume_impact` × `max_volume_share`² is less than 1: no schema computes with two values."""
    merged = next(_objects(given))
    numbers = [
        default if merged.get(name) is None else merged[name]
        for name, default in (("slippage", 0.001), ("volume_impact", 0), ("max_volume_share", 1))
    ]
    if not all(map(_is_number, numbers)):
        return False
    slippage, impact, limit = map(float, numbers)
    return impact > 0 and slippage + impact * limit**2 >= 1


def is_end_before_start(given: Given) -> bool:
    """`start_date` is not after `end_date`, nor `start` after `end`, nor `trained_from` after `trained_to`.

    Nor is that one after `end_date`.

    No schema compares two values (here days, and not hours of one day).
    """
    merged, *strategies = _objects(given)
    pairs = [(merged.get(start), merged.get(end)) for start, end in (("start_date", "end_date"), ("start", "end"))]
    for params in (merged, *strategies):
        trained_to = params.get("trained_to")
        pairs += [(params.get("trained_from"), trained_to), (trained_to, merged.get("end_date"))]
    return any(
        isinstance(start, str) and isinstance(end, str) and start[:10] >= end[:10] and start != end
        for start, end in pairs
    )


def is_detail_not_inside(given: Given) -> bool:
    """`detail_interval` must fill bars of `interval`: no schema compares two lengths."""
    merged = next(_objects(given))
    interval, detail = (INTERVALS.get(str(merged.get(name))) for name in ("interval", "detail_interval"))
    return detail is not None and detail not in intervals_inside(interval or INTERVALS[DEFAULT_INTERVAL])


def is_no_period(given: Given) -> bool:
    """`period` is an offset that pandas reads, up to a year: no pattern adds up units."""
    period = given.get("period")
    if not isinstance(period, str):
        return False
    try:
        return not pd.Timedelta(milliseconds=1) <= pd.Timedelta(period) <= pd.Timedelta(days=365)
    except ValueError:
        return True


def has_no_bars(given: Given) -> bool:
    """The exchange of the tests has daily bars of BTCUSDT: no schema knows when a market was open."""
    merged = next(_objects(given))
    is_listed = str(merged.get("symbol")).upper() == "BTCUSDT" and str(merged.get("source")).lower() != "simulated"
    return is_listed and (merged.get("interval", "1d") != "1d" or not {"start_date", "end_date"}.isdisjoint(merged))


def is_no_rule(given: Given) -> bool:
    """A rule is a language of its own; the texts decide which named numbers are used, and whether a model is read."""
    chosen = given.get("strategy")
    rules = chosen.get("rules") if isinstance(chosen, Mapping) else None
    if not isinstance(rules, Mapping):
        return False
    numbers = rules.get("parameters")
    if not isinstance(numbers, Mapping | None) or not all(isinstance(rules.get(name), str | None) for name in _SIDES):
        return False
    report = check_rules({**rules, "interval": None})
    return bool(report.faults) or report.reads_model != (rules.get("model") is not None)


def is_cursor(given: Given) -> bool:
    """`after` is what an earlier page gave: clients do not make one."""
    return bool(given.get("after"))


def maps_files(given: Given) -> bool:
    """GraphQL's `map` names parts and nulls of the same form: no schema looks at the values of other fields."""
    return bool(given.get("map"))


def is_seed_of_another_source(query: Given) -> bool:
    """`seed` needs the source simulated: in a body a schema tells that, and query parameters know no rules."""
    return query.get("seed") is not None and str(query.get("source")).lower() != "simulated"


def has_unassigned_mark(given: Given) -> bool:
    """Schemathesis takes all of U+20D0 to U+20FF for marks (\\p{M}); Unicode has not assigned the last 15."""
    return re.search("[\u20f1-\u20ff]", str(next(_objects(given)).get("symbol"))) is not None


UNTOLD: Final[tuple[Callable[[Given], bool], ...]] = (
    differs_in_two_places,
    is_pair_not_ascending,
    is_margin_too_small,
    is_impact_too_large,
    is_end_before_start,
    is_detail_not_inside,
    is_no_period,
    has_no_bars,
    is_no_rule,
    is_cursor,
    maps_files,
    has_unassigned_mark,
)


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, bool) and float(value) == float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


_OF_ONE_ALTERNATIVE: Final = {
    "exit", "exit_offset", "funding", "funding_history", "funding_rate", "limit_offset", "percent_size", "quote_size",
    "risk_percent", "stop_loss", "take_profit", "take_profit_atr", "trailing_start", "trailing_stop",
    "volatility_target",
}  # fmt: skip
"""Fields of which the first alternative of a rule is tried: to have none, or none of the others.

With the product of all alternatives, jsonschema_rs gives a body up as too large, and schemathesis reports that as an
error of the schema, if its time is enough to come to it.
"""

_RULES: Final[dict[str, Any]] = {}
"""Validators of the rules about several fields (`allOf`) of each body, by its path."""


def _inlined(node: Any, schemas: Given) -> Any:
    """Return a schema with components in place of the references to them."""
    if isinstance(node, list):
        return [_inlined(item, schemas) for item in node]
    if not isinstance(node, dict):
        return node
    inlined = {name: _inlined(item, schemas) for name, item in node.items() if name != "$ref"}
    if isinstance(node.get("$ref"), str):
        inlined = {**_inlined(schemas[node["$ref"].rsplit("/", 1)[1]], schemas), **inlined}
    return inlined


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Keep the rules of each body, and leave one alternative of those about a few fields: it combines only so many.

    Forms stand in the places of the references to them, with which the coverage phase fails on the file ("Binary").
    """
    schemas = raw_schema.get("components", {}).get("schemas", {})
    for path, operations in raw_schema.get("paths", {}).items():
        for media_type, content in operations.get("post", {}).get("requestBody", {}).get("content", {}).items():
            if media_type == "multipart/form-data":
                content["schema"] = _inlined(content["schema"], schemas)
            if rules := content["schema"].get("allOf"):
                _RULES[path] = jsonschema_rs.validator_for({"allOf": rules})
                for rule in rules:
                    first = rule.get("anyOf", [{}])[0].get("properties", {})
                    if "'seed'" in str(rule) or (first and set(first) <= _OF_ONE_ALTERNATIVE):
                        rule["anyOf"] = rule["anyOf"][:1]


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Have no request wait for the end of a job: a run has some seconds for all operations."""
    if not isinstance(body, dict) or "symbols" not in body:
        return body
    waited = body.get("wait_seconds")
    is_wrong = isinstance(waited, bool) or not isinstance(waited, int | float | None) or not 0 <= (waited or 0) <= 60
    return body if is_wrong else {**body, "wait_seconds": 0}


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Keep a request unless a rule forbids it that OpenAPI cannot tell, or that schemathesis does not regard."""
    given = [part for part in (case.body, case.query) if isinstance(part, Mapping)]
    if any(rule(part) for part in given for rule in UNTOLD) or is_seed_of_another_source(case.query or {}):
        return False
    rules = _RULES.get(case.operation.path)
    if rules is None or not isinstance(case.body, Mapping) or case.meta is None:
        return True
    plain = {name: value for name, value in case.body.items() if name != "file"}
    # It fills forms from examples without a look at allOf, and negates what was cut away above.
    return rules.is_valid(plain) or case.meta.generation.mode is GenerationMode.NEGATIVE
