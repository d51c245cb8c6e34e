"""Write portfolios for agents as short texts that begin with the verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator

from src.api.mcp.texts import MAX_SENTENCE_CHARACTERS, describe_figures, describe_verdict, list_sentences, write_number
from src.api.requests.backtests import echo_strategy
from src.domain.portfolio import PortfolioConclusion
from src.service.portfolios import Portfolio


def describe_portfolio(portfolio: Portfolio) -> str:
    """Return the verdict with its reasons, the figures, each symbol's share; before the end, the progress."""
    conclusion = portfolio.conclusion
    if conclusion is None:
        lines = [f"PORTFOLIO: {portfolio.job.state}", *_describe_unfinished(portfolio)]
    else:
        said = {reason.text for reason in conclusion.verdict.reasons}
        others = [warning for warning in conclusion.warnings if warning not in said]
        lines = [*describe_verdict("VERDICT", conclusion.verdict), "", *_describe_conclusion(conclusion)]
        lines += list_sentences("Other warnings:", others)
    return "\n".join([*lines, "", *_describe_request(portfolio)])


def _describe_unfinished(portfolio: Portfolio) -> Iterator[str]:
    job = portfolio.job
    if job.failure is not None:
        yield f"{job.failure.code}: {job.failure.message}"
    elif job.state.is_final:
        yield "It ended before anything was traded."
    else:
        yield "Not done: call run_portfolio_backtest again with this portfolio_id only."


def _describe_conclusion(found: PortfolioConclusion) -> Iterator[str]:
    yield f"Figures: {describe_figures(found.metrics)}"
    yield (
        f"At most {found.most_open} positions were open at once; {found.refused_entries} entries were refused for want "
        f"of a place or cash. Mean correlation of the symbols: {write_number(found.correlations.mean)}"
    )
    others = (
        ("cut to what cash or volume allowed", found.reduced_entries),
        ("dropped", found.dropped_entries),
        ("ambiguous bars", found.ambiguous_bars),
        ("liquidations", found.liquidations),
    )
    yield f"Entries and bars: {', '.join(f'{name} {write_number(count)}' for name, count in others)}"
    yield "symbol,profit,contribution_percent,trades,win_rate,refused_entries"
    for own in found.symbols:
        numbers = (own.profit, own.contribution, own.total_trades, own.win_rate, own.refused_entries)
        yield ",".join((own.symbol, *map(write_number, numbers)))


def _describe_request(portfolio: Portfolio) -> Iterator[str]:
    request = portfolio.request
    backtest = request.backtest
    params = {name: value for name, value in echo_strategy(backtest.strategy).items() if value is not None}
    yield f"Portfolio: {portfolio.job.id}"
    yield f"Strategy: {_strategy_of(portfolio)} {json.dumps(params, default=str)[:MAX_SENTENCE_CHARACTERS]}"
    yield (
        f"Market: {', '.join(request.symbols)[:MAX_SENTENCE_CHARACTERS]}; {backtest.market.interval.name}; "
        f"{request.most_open} places, rank {request.rank}"
    )


def _strategy_of(portfolio: Portfolio) -> str:
    """Return the strategy's name for people, or that of its parameters before it has run."""
    found = portfolio.conclusion
    return type(portfolio.request.backtest.strategy).__name__ if found is None else found.metrics.strategy_name
