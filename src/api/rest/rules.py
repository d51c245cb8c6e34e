"""Describe rules about several fields of a body in JSON Schema, for OpenAPI.

The domain has the checks and their messages. JSON Schema cannot compare two values: only descriptions say that fast is
less than slow, that first dates are not after last ones, that a maintenance margin is less than the margin, and that a
field sent twice has one value.
"""

from __future__ import annotations

from typing import Final

from src.api.components import Schema
from src.domain.exit_orders import ExitType
from src.domain.funding import FundingKind
from src.domain.market import SIMULATED
from src.domain.order_rules import EntryType, Sizing
from src.domain.parameters import groups_of, parameters_of
from src.domain.trading import EngineName, TradingRules
from src.strategies.registry import PARAMS

_NULL: Final[Schema] = {"type": "null"}
_GIVEN: Final[Schema] = {"not": _NULL}
_SIZES: Final = tuple(item.parameter.name for item in parameters_of(Sizing))
_CROSSOVER: Final = tuple(item.parameter.name for item in parameters_of(PARAMS["ma_crossover"]))
_SIMULATED: Final[Schema] = {
    "type": "string",
    "pattern": f"^{''.join(f'[{letter}{letter.upper()}]' for letter in SIMULATED)}$",
}


def form_rules() -> list[Schema]:
    """Return the rules of a form, in which a field that is not given is absent."""
    return [*_trading_rules(), form_training_rule(), _any_of(_absent("seed"), _with(source=_SIMULATED))]


def form_training_rule() -> Schema:
    """Return the rule of a training window in a form: one that has a beginning or a label horizon has an end."""
    return {"dependentRequired": {"trained_from": ["trained_to"], "label_horizon": ["trained_to"]}}


def body_rules() -> list[Schema]:
    """Return the rules of a JSON body: null means not given, and `fetch_input` may hold the market."""
    return [
        *_trading_rules(),
        _any_of(_with(symbol=_GIVEN), _with(fetch_input=_GIVEN | _with(symbol=_GIVEN))),
        _any_of(
            _where(seed=_NULL, fetch_input=_absent("seed")),
            _with(source=_SIMULATED),
            _with(fetch_input=_GIVEN | _with(source=_SIMULATED)),
        ),
        _any_of(
            _absent("strategy"),
            _where(**dict.fromkeys(_CROSSOVER, _NULL), ma_crossover_params=_absent(*_CROSSOVER)),
        ),
        _where(strategy=_any_of(_NULL, *map(_only_strategy, PARAMS))),
    ]


def _trading_rules() -> list[Schema]:
    defaults = {
        item.parameter.name: item.write(item.default)
        for item in parameters_of(TradingRules)
        if item.parameter.is_event_driven_only
    }
    return [
        _any_of(*(_absent(*(name for name in _SIZES if name != allowed)) for allowed in _SIZES)),
        _any_of(
            _where(entry_offset={"enum": [0, None]}),
            _with(entry={"enum": [EntryType.LIMIT, EntryType.STOP, EntryType.STOP_LIMIT]}),
        ),
        _any_of(_where(limit_offset={"enum": [0, None]}), _with(entry={"const": EntryType.STOP_LIMIT})),
        _any_of(_where(exit_offset={"enum": [0, None]}), _with(exit={"const": ExitType.LIMIT})),
        _any_of(
            _where(exit={"enum": [ExitType.MARKET, None]}),
            _where(
                take_profits={"enum": [[], None]},
                add_entries={"enum": [[], None]},
                exit_on_signal={"enum": [True, None]},
            ),
        ),
        _any_of(_absent("take_profit", "take_profit_atr"), _where(take_profits={"enum": [[], None]})),
        _any_of(_absent("take_profit_atr"), _where(add_entries={"enum": [[], None]})),
        *(_any_of(_absent(name), _absent(f"{name}_atr")) for name in ("stop_loss", "take_profit", "trailing_stop")),
        _any_of(_absent("trailing_start"), _with(trailing_stop=_GIVEN), _with(trailing_stop_atr=_GIVEN)),
        _any_of(
            _where(funding={"enum": [FundingKind.NONE, None]}, funding_rate=_NULL, funding_history=_NULL),
            {
                "allOf": [
                    _with(funding={"const": FundingKind.CONSTANT}, funding_rate=_GIVEN),
                    _absent("funding_history"),
                ]
            },
            {"allOf": [_with(funding={"const": FundingKind.HISTORY}), _absent("funding_rate")]},
        ),
        _any_of(
            _absent("risk_percent"),
            _with(stop_loss=_GIVEN),
            _with(stop_loss_atr=_GIVEN),
            *(
                {"allOf": [_with(**{name: _GIVEN}), _absent("trailing_start")]}
                for name in ("trailing_stop", "trailing_stop_atr")
            ),
        ),
        _any_of(
            _with(engine={"const": EngineName.EVENT_DRIVEN}),
            _where(**{name: _default_or_null(default) for name, default in defaults.items()}),
        ),
    ]


def _default_or_null(default: object) -> Schema:
    return {"enum": [*([] if default is None else [default]), None]}


def _only_strategy(name: str) -> Schema:
    """Return the schema of a `strategy` that names only this one."""
    # Generators of typed clients do not support an enum of null and a boolean, and left the whole operation out.
    not_named = _any_of(_NULL, {"const": False})
    others = {other: not_named if _is_bare(other) else _NULL for other in PARAMS if other != name}
    chosen: Schema = _any_of({"const": True}, {"type": "object"}) if _is_bare(name) else _GIVEN
    if name == "model":
        chosen = _stored_model()
    elif groups := groups_of(PARAMS[name]):
        chosen = _GIVEN | _where(**dict.fromkeys(groups, _any_of(_NULL, _stored_model())))
    return _with(**{name: chosen}) | _where(**{name: chosen}, **others)


def _stored_model() -> Schema:
    named = _GIVEN | _with(model_path={"type": "string", "minLength": 1})
    return named | {"allOf": [_any_of(_absent("trained_from"), _with(trained_to=_GIVEN))]}


def _is_bare(strategy: str) -> bool:
    """Return whether a strategy has no parameters: it is named with true."""
    return not parameters_of(PARAMS[strategy])


def _where(**fields: Schema) -> Schema:
    """Return the schema of an object whose fields, if present, fit these schemas."""
    return {"properties": fields}


def _with(**fields: Schema) -> Schema:
    """Return the schema of an object that has these fields."""
    return {"required": list(fields), **_where(**fields)}


def _absent(*names: str) -> Schema:
    return _where(**dict.fromkeys(names, _NULL))


def _any_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}
