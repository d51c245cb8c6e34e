"""Write portfolios for agents as short texts: what makes one doubtful comes before its return."""

from __future__ import annotations

import json
from collections.abc import Iterator

from src.api.mcp.texts import MAX_SENTENCE_CHARACTERS, describe_figures, list_sentences, write_number
from src.api.requests.backtests import echo_strategy
from src.domain.confidence import Deflation
from src.domain.portfolio import PortfolioConclusion
from src.service.portfolios import Portfolio


def describe_portfolio(portfolio: Portfolio) -> str:
    """Return whether its Sharpe ratio is luck, its warnings, its figures, and each symbol's share.

    Before its end, how far it is.
    """
    job, conclusion = portfolio.job, portfolio.conclusion
    lines = [f"PORTFOLIO: {job.state}"]
    if conclusion is None:
        lines += _describe_unfinished(portfolio)
    else:
        lines += ["IS IT LUCK?", f"- {_describe_deflation(conclusion.deflation)}"]
        lines += list_sentences("Warnings:", conclusion.warnings)
        lines += ["", *_describe_conclusion(conclusion)]
    return "\n".join([*lines, "", *_describe_request(portfolio)])


def _describe_unfinished(portfolio: Portfolio) -> Iterator[str]:
    job = portfolio.job
    if job.failure is not None:
        yield f"{job.failure.code}: {job.failure.message}"
    elif job.state.is_final:
        yield "It ended before anything was traded."
    else:
        yield "Not done: call run_portfolio_backtest again with this portfolio_id only."


def _describe_deflation(found: Deflation | None) -> str:
    known = [] if found is None else [one for one in (found.dsr, found.dsr_dependent) if one is not None]
    if found is None or not known:
        return "Not known: too few bars, or no return."
    chance, hurdle = write_number(min(known)), write_number(found.sharpe_hurdle)
    return (
        f"Probability {chance} that its true Sharpe ratio is over {hurdle}, "
        f"which the best of {found.trials} portfolios of this user without an edge would reach. Under 0.95 luck is not "
        "excluded."
    )


def _describe_conclusion(found: PortfolioConclusion) -> Iterator[str]:
    yield f"Figures: {describe_figures(found.metrics)}"
    yield (
        f"At most {found.most_open} positions were open at once; {found.refused_entries} entries were refused for want "
        f"of a place or cash. Mean correlation of the symbols: {write_number(found.correlations.mean)}"
    )
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
