"""From what a client wrote, by either edge, to a `BacktestRequest`: the one place where defaults are filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from src.domain.annualization import AnnualizationSettings
from src.domain.errors import InvalidInput, one_of
from src.domain.market import DAY_MS, SIMULATED, Interval, LimitOrigin, MarketRequest, normalise_symbol
from src.domain.runs import BacktestRequest, CrossoverChoice, ModelChoice, StrategyChoice
from src.domain.signals import OutputKind
from src.domain.trading import (
    Direction,
    EngineName,
    EntryOrder,
    EntryType,
    Exits,
    FillTiming,
    IntrabarPolicy,
    Sizing,
    TradingRules,
)

DEFAULT_INTERVAL: Final = "1d"
DEFAULT_LIMIT: Final = 1000
"""Most bars of a request that gives neither a limit nor both dates."""
LIMIT_RULE: Final = f"With both dates every bar between them if not given, else {DEFAULT_LIMIT}."
DEFAULT_FILL: Final = {
    EngineName.VECTORIZED: FillTiming.SAME_CLOSE,
    EngineName.EVENT_DRIVEN: FillTiming.NEXT_OPEN,
}

MAX_FEATURE_COLUMNS: Final = 200

_BARE_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Python reads more of ISO 8601 (20240110, 2024-W02-3), where a whole day could not be told from its first instant.
_INSTANT: Final = re.compile(
    rf"{_BARE_DATE.pattern}[T ]\d{{2}}:\d{{2}}(:\d{{2}}([.,]\d+)?)?(Z|[+-]\d{{2}}(:?\d{{2}})?)?", re.ASCII
)
_FIRST_YEAR, _LAST_YEAR = 1970, 2200

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFields:
    """Which candles, as the client wrote it; None: not given."""

    symbol: str | None = None
    interval: str | None = None
    limit: int | None = None
    start_date: str | None = None
    end_date: str | None = None
    source: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestFields:
    """A backtest as the client wrote it, enums as text; None: not given."""

    user_id: str
    symbol: str | None = None
    fetch: FetchFields | None = None
    fast: int | None = None
    slow: int | None = None
    period: str | None = None
    bars_per_year: float | None = None
    risk_free_rate: float | None = None
    init_cash: float | None = None
    fees: float | None = None
    slippage: float | None = None
    fixed_size: float | None = None
    percent_size: float | None = None
    use_fallback: bool | None = None
    fill: str | None = None
    direction: str | None = None
    entry: str | None = None
    entry_offset: float | None = None
    entry_bars: int | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    max_bars: int | None = None
    intrabar: str | None = None
    cross_check: bool | None = None
    engine: str | None = None
    model_path: str | None = None
    threshold: float | None = None
    feature_columns: tuple[str, ...] | None = None
    output_kind: str | None = None


def build_market(fields: FetchFields, *, max_bars: int) -> MarketRequest:
    """Check and complete the market part of a request.

    Raises
    ------
    InvalidInput
        Naming the field, what came, and what is allowed.
    """
    if fields.symbol is None:
        raise InvalidInput("symbol is missing; give it here or in fetchInput", field="symbol")
    source = fields.source.lower() if fields.source else None
    if fields.seed is not None and source != SIMULATED:
        raise InvalidInput(
            f"seed is {fields.seed}; allowed with the source {SIMULATED!r} only, and the source is "
            f"{'the default one' if source is None else repr(source[:40])}",
            field="seed",
        )
    symbol, interval = normalise_symbol(fields.symbol), Interval.named(fields.interval or DEFAULT_INTERVAL)
    start_ms = parse_instant(fields.start_date, field="startDate")
    end_ms = parse_instant(fields.end_date, field="endDate", is_end=True)
    limit, origin = _limit(fields.limit, interval, start_ms, end_ms, max_bars)
    return MarketRequest(
        symbol=symbol,
        interval=interval,
        limit=limit,
        start_ms=start_ms,
        end_ms=end_ms,
        source=source,
        seed=fields.seed,
        limit_origin=origin,
    )


def _limit(
    given: int | None, interval: Interval, start_ms: int | None, end_ms: int | None, max_bars: int
) -> tuple[int, LimitOrigin]:
    """Return the most bars that a request may get, and who says so."""
    if given is not None:
        if not 1 <= given <= max_bars:
            raise InvalidInput(f"limit is {given}; allowed: 1 to {max_bars} bars", field="limit")
        return given, LimitOrigin.CLIENT
    if start_ms is None or end_ms is None:
        return min(DEFAULT_LIMIT, max_bars), LimitOrigin.DEFAULT
    return max(1, min(interval.most_bars(start_ms, end_ms), max_bars)), LimitOrigin.RANGE


def build_crossover_request(fields: BacktestFields, engine: EngineName, *, max_bars: int) -> BacktestRequest:
    """Check and complete a request to trade the moving-average crossover; raises InvalidInput."""
    default = CrossoverChoice()
    choice = CrossoverChoice(
        fast=default.fast if fields.fast is None else fields.fast,
        slow=default.slow if fields.slow is None else fields.slow,
    )
    return _build(fields, choice, engine, max_bars)


def build_model_request(fields: BacktestFields, *, max_bars: int) -> BacktestRequest:
    """Check and complete a request to trade a model's predictions; raises InvalidInput."""
    engine = _choice(EngineName, fields.engine, "engine") or EngineName.VECTORIZED
    default = ModelChoice()
    columns = fields.feature_columns
    if columns is not None and len(columns) > MAX_FEATURE_COLUMNS:
        raise InvalidInput(
            f"featureColumns has {len(columns)} names; allowed: at most {MAX_FEATURE_COLUMNS}", field="featureColumns"
        )
    choice = ModelChoice(
        reference=fields.model_path,
        threshold=default.threshold if fields.threshold is None else fields.threshold,
        feature_columns=columns or None,
        output_kind=_choice(OutputKind, fields.output_kind, "outputKind"),
    )
    return _build(fields, choice, engine, max_bars)


def _build(fields: BacktestFields, choice: StrategyChoice, engine: EngineName, max_bars: int) -> BacktestRequest:
    return BacktestRequest(
        user_id=fields.user_id,
        market=build_market(_fetch_of(fields), max_bars=max_bars),
        strategy=choice,
        rules=_rules(fields, engine),
        engine=engine,
        period=fields.period or None,
        annualization=AnnualizationSettings(
            bars_per_year=fields.bars_per_year,
            risk_free_rate=0.0 if fields.risk_free_rate is None else fields.risk_free_rate,
        ),
        use_fallback=bool(fields.use_fallback),
        cross_check=bool(fields.cross_check),
    )


def _fetch_of(fields: BacktestFields) -> FetchFields:
    """Return the market part, its symbol taken from whichever place names it; both must name the same."""
    fetch = fields.fetch or FetchFields()
    inner, outer = fetch.symbol, fields.symbol
    if inner is not None and outer is not None and normalise_symbol(inner) != normalise_symbol(outer):
        raise InvalidInput(
            f"symbol is {outer[:40]!r} and fetchInput.symbol is {inner[:40]!r}; they must be the same", field="symbol"
        )
    return FetchFields(
        symbol=outer if outer is not None else inner,
        interval=fetch.interval,
        limit=fetch.limit,
        start_date=fetch.start_date,
        end_date=fetch.end_date,
        source=fetch.source,
        seed=fetch.seed,
    )


def _rules(fields: BacktestFields, engine: EngineName) -> TradingRules:
    entry_type = _choice(EntryType, fields.entry, "entry") or EntryType.MARKET
    given: dict[str, Any] = {
        "initial_cash": fields.init_cash,
        "fee_rate": fields.fees,
        "slippage_rate": fields.slippage,
        "direction": _choice(Direction, fields.direction, "direction"),
        "intrabar": _choice(IntrabarPolicy, fields.intrabar, "intrabar"),
    }
    entry: dict[str, Any] = {"offset_rate": fields.entry_offset, "life_bars": fields.entry_bars}
    return TradingRules(
        fill=_choice(FillTiming, fields.fill, "fill") or DEFAULT_FILL[engine],
        sizing=Sizing(fixed_units=fields.fixed_size, equity_fraction=fields.percent_size),
        entry=EntryOrder(type=entry_type, **{name: value for name, value in entry.items() if value is not None}),
        exits=Exits(
            stop_loss_rate=fields.stop_loss,
            take_profit_rate=fields.take_profit,
            trailing_stop_rate=fields.trailing_stop,
            max_bars=fields.max_bars,
        ),
        **{name: value for name, value in given.items() if value is not None},
    )


def _choice(kind: type[Choice], text: str | None, field: str) -> Choice | None:
    """Return the member that a client named, in any case; None where nothing was given."""
    if not text:
        return None
    for member in kind:
        if member.value.lower() == text.lower():
            return member
    raise one_of(field, text[:40], kind)


def parse_instant(text: str | None, *, field: str, is_end: bool = False) -> int | None:
    """Return the milliseconds since the epoch (UTC) that a date or an ISO 8601 instant names; None for None or ''.

    A bare date is its first millisecond, or with `is_end` its last. An instant without a zone is UTC.

    Raises
    ------
    InvalidInput
        Where it is neither.
    """
    if not text:
        return None
    written = text.strip()
    is_bare = _BARE_DATE.fullmatch(written) is not None
    if not is_bare and not _INSTANT.fullmatch(written):
        raise _no_date(text, field)
    try:
        instant = datetime.fromisoformat(written)
    except ValueError as error:
        raise _no_date(text, field) from error
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise _no_date(text, field)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    first_ms = int(instant.timestamp() * 1000)
    return first_ms + DAY_MS - 1 if is_end and is_bare else first_ms


def _no_date(text: str, field: str) -> InvalidInput:
    return InvalidInput(
        f"{field} is {text[:40]!r}; allowed: YYYY-MM-DD, or an instant YYYY-MM-DDTHH:MM[:SS[.fff]] with Z or +HH:MM "
        f"(UTC where no zone is given), {_FIRST_YEAR} to {_LAST_YEAR}",
        field=field,
    )
