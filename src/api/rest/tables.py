"""Tables as JSON: from arrays to a list of objects, without an object a row on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from src.api.answers import PendingTable
from src.domain.runs import BacktestResult
from src.domain.signals import Action
from src.domain.trading import FillReason, Side

JSON_OPTIONS: Final = (
    orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
)
"""How all JSON of this edge is written: arrays as lists, NaN as null, instants in UTC with a Z."""

_Columns = Mapping[str, Sequence[bytes]]
_PIECE_ROWS: Final = 2_048

_ACTIONS: Final = {member.value: member.word for member in Action}
_SIDES: Final = {member.value: member.word for member in Side}
_REASONS: Final = {member.value: member.word for member in FillReason}
_EXIT_REASONS: Final = {**_REASONS, -1: None}
_DIRECTIONS: Final = {1: "long", -1: "short"}


def present_bars(result: BacktestResult) -> PendingTable:
    """Return one row a bar: date, signal, close and the book at that close."""
    signals, simulation = result.signals, result.simulation

    def columns(rows: slice) -> _Columns:
        return {
            "Date": _dates(result.time_ms[rows]),
            "portfolio_value": _numbers(simulation.equity[rows]),
            "signal": _words(_ACTIONS, signals.action[rows]),
            "close": _numbers(result.close[rows]),
            "cash": _numbers(simulation.cash[rows]),
            "position": _numbers(simulation.position[rows]),
            "probability": [b"null"] * len(result.time_ms[rows])
            if signals.probability is None
            else _numbers(signals.probability[rows]),
        }

    return TableOfRows(len(result.time_ms), columns)


def present_fills(fills: NDArray[np.void]) -> PendingTable:
    """Return one row a fill."""

    def columns(rows: slice) -> _Columns:
        chosen = fills[rows]
        return {
            "bar": _numbers(chosen["bar"]),
            "time": _dates(chosen["time_ms"]),
            "side": _words(_SIDES, chosen["side"]),
            **{name: _numbers(chosen[name]) for name in ("quantity", "price", "fee")},
            "reason": _words(_REASONS, chosen["reason"]),
        }

    return TableOfRows(len(fills), columns)


def present_trades(trades: NDArray[np.void]) -> PendingTable:
    """Return one row a trade; `return` is a fraction, and an open trade has no `exit_reason`."""

    def columns(rows: slice) -> _Columns:
        chosen = trades[rows]
        return {
            "direction": _words(_DIRECTIONS, chosen["direction"]),
            "quantity": _numbers(chosen["quantity"]),
            "entry_bar": _numbers(chosen["entry_bar"]),
            "entry_time": _dates(chosen["entry_time_ms"]),
            "entry_price": _numbers(chosen["entry_price"]),
            "entry_fee": _numbers(chosen["entry_fee"]),
            "exit_bar": _numbers(chosen["exit_bar"]),
            "exit_time": _dates(chosen["exit_time_ms"]),
            "exit_price": _numbers(chosen["exit_price"]),
            "exit_fee": _numbers(chosen["exit_fee"]),
            "exit_reason": _words(_EXIT_REASONS, chosen["exit_reason"]),
            **{name: _numbers(chosen[name]) for name in ("profit", "return", "bars_held", "is_open")},
        }

    return TableOfRows(len(trades), columns)


class TableOfRows(PendingTable):
    """A list of objects from columns of JSON texts, without an object a row on the way.

    A dict for each of some hundred thousand bars would cost more than the backtest did. The table is written in
    pieces, so that the texts of single cells never exist all at once.
    """

    def __init__(self, length: int, columns: Callable[[slice], _Columns]) -> None:
        self._length = length
        self._columns = columns

    def __len__(self) -> int:
        return self._length

    def row_pieces(self) -> Iterator[bytes]:
        for start in range(0, self._length, _PIECE_ROWS):
            yield _rows(self._columns(slice(start, start + _PIECE_ROWS)))


def _rows(columns: _Columns) -> bytes:
    names = (orjson.dumps(name).replace(b"%", b"%%") + b":%b" for name in columns)
    template = b"{" + b",".join(names) + b"}"
    return b",".join(map(template.__mod__, zip(*columns.values(), strict=True)))


def _numbers(values: NDArray[Any]) -> list[bytes]:
    # No comma stands inside a JSON number, date or true/false, so the list can be cut at its commas.
    text = orjson.dumps(np.ascontiguousarray(values), option=JSON_OPTIONS)[1:-1]
    return text.split(b",") if text else []


def _dates(time_ms: NDArray[np.int64]) -> list[bytes]:
    return _numbers(np.ascontiguousarray(time_ms).astype("datetime64[ms]"))


def _words(words: Mapping[int, str | None], codes: NDArray[np.int8]) -> list[bytes]:
    texts = {code: orjson.dumps(word) for code, word in words.items()}
    return [texts[code] for code in codes.tolist()]
