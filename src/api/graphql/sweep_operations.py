"""Define the queries, mutations and the subscription of jobs, sweeps, walk-forwards and portfolios."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, Final, TypeVar

import strawberry

from src.api.graphql.context import Info
from src.api.graphql.enums import JobState
from src.api.graphql.portfolio_inputs import RunPortfolioInput
from src.api.graphql.portfolios import PortfolioType, portfolio_of
from src.api.graphql.results import BacktestResult, result_of
from src.api.graphql.sweep_inputs import SweepInput, WalkForwardInput
from src.api.graphql.sweeps import (
    JobConnection,
    JobType,
    SweepEstimateType,
    SweepType,
    WalkForwardType,
    jobs_of,
    sweep_of,
    walk_forward_of,
)
from src.api.graphql.types import described, resolved
from src.api.requests.portfolios import check_ended

DEFAULT_PAGE_SIZE: Final = 20
MAX_PAGE_SIZE: Final = 100
IDLE_S: Final = 60.0
"""How often a subscription without news checks whether it must end; the WebSocket itself has pings."""

JobId = Annotated[strawberry.ID, strawberry.argument(description="The job's id.")]
SweepId = Annotated[strawberry.ID, strawberry.argument(description="The id of the job that computes it.")]
PortfolioId = Annotated[strawberry.ID, strawberry.argument(description="The id of the job that computes it.")]
JobUser = Annotated[str, strawberry.argument(description="Whose job it is.")]
SweepArgument = Annotated[SweepInput, strawberry.argument(description="The sweep: whose, what, which combinations.")]
IdempotencyKey = Annotated[
    str | None,
    strawberry.argument(
        description="The same key and request of a user are the same job, however often they are sent; the same key "
        "with another request is a conflict."
    ),
]


@strawberry.type(description="A portfolio backtest that was asked for.")
class PortfolioRun:
    job: JobType = described("The job that computes it.")
    portfolio: PortfolioType | None = described("The portfolio; null if the job has not succeeded by now.")


@strawberry.type
class JobQuery:
    """The queries of jobs, sweeps, walk-forwards and portfolios."""

    @resolved("A job: how far it is.")
    async def job(self, info: Info, id: JobId) -> JobType:
        return await info.context.jobs.get(id)

    @resolved("A page of a user's jobs, newest first.")
    async def jobs(
        self,
        info: Info,
        user_id: Annotated[str, strawberry.argument(description="Whose jobs.")],
        state: Annotated[JobState | None, strawberry.argument(description="Only jobs in this state.")] = None,
        first: Annotated[int | None, strawberry.argument(description="Most jobs, a count.")] = DEFAULT_PAGE_SIZE,
        after: Annotated[str | None, strawberry.argument(description="The endCursor of the page before.")] = None,
    ) -> JobConnection:
        size = DEFAULT_PAGE_SIZE if first is None else first
        # The store says what is wrong with a page of another size.
        info.context.claim_summaries(min(max(size, 0), MAX_PAGE_SIZE))
        return jobs_of(await info.context.jobs.list(user_id=user_id, first=size, after=after, state=state))

    @resolved("A sweep: its job, what was asked for, and what it found.")
    async def sweep(self, info: Info, id: SweepId) -> SweepType:
        info.context.claim_summaries(1)
        return sweep_of(await info.context.sweeps.get(id))

    @resolved("A walk-forward: its job, what was asked for, its folds, and what it found.")
    async def walk_forward(self, info: Info, id: SweepId) -> WalkForwardType:
        info.context.claim_summaries(1)
        return walk_forward_of(await info.context.sweeps.get_walk_forward(id))

    @resolved("A portfolio backtest: its job, what was asked for, and what it did.")
    async def portfolio(self, info: Info, id: PortfolioId) -> PortfolioType:
        info.context.claim_summaries(1)
        return portfolio_of(await info.context.portfolios.get(id))

    @resolved("What a sweep costs, without starting it or fetching bars.")
    async def estimate_sweep(self, info: Info, input: SweepArgument) -> SweepEstimateType:
        request = input.build(max_bars=info.context.max_bars)
        info.context.claim_bars(request.backtest.market.limit)
        return await info.context.sweeps.estimate(request)


@strawberry.type
class JobMutation:
    """The mutations of jobs, sweeps, walk-forwards and portfolios."""

    @resolved("Start a sweep: a job that runs one backtest with many combinations of its parameters.")
    async def start_sweep(self, info: Info, input: SweepArgument, idempotency_key: IdempotencyKey = None) -> JobType:
        request = input.build(max_bars=info.context.max_bars)
        info.context.claim_bars(request.backtest.market.limit)
        return await info.context.sweeps.start(request, idempotency_key)

    @resolved("Start a walk-forward: a job that repeats a sweep on one training window after another.")
    async def start_walk_forward(
        self,
        info: Info,
        input: Annotated[WalkForwardInput, strawberry.argument(description="The sweep, and its windows.")],
        idempotency_key: IdempotencyKey = None,
    ) -> JobType:
        request = input.build(max_bars=info.context.max_bars)
        info.context.claim_bars(request.sweep.backtest.market.limit)
        return await info.context.sweeps.start_walk_forward(request, idempotency_key)

    @resolved(
        "Backtest one strategy over several symbols that share their cash: a job, whose end the response waits for."
    )
    async def run_portfolio_backtest(
        self,
        info: Info,
        input: Annotated[
            RunPortfolioInput, strawberry.argument(description="The symbols, the backtest, and how long to wait.")
        ],
    ) -> PortfolioRun:
        request, wait_s = input.build(max_bars=info.context.max_bars), input.build_waiting()
        info.context.claim_bars(request.backtest.market.limit)
        portfolios, jobs = info.context.portfolios, info.context.jobs
        started = await portfolios.start(request, input.idempotency_key)
        job = check_ended(await info.context.job_streams.wait_for_end(jobs, started, wait_s=wait_s))
        if job.state is not JobState.SUCCEEDED:
            return PortfolioRun(job=job, portfolio=None)
        return PortfolioRun(job=job, portfolio=portfolio_of(await portfolios.get(job.id)))

    @resolved("Run a row of a sweep on the sweep's bars and store its result, unless that is stored.")
    async def run_sweep_row(
        self,
        info: Info,
        id: SweepId,
        row: Annotated[int, strawberry.argument(description="The row's number, from 0, a count.")],
        user_id: JobUser,
    ) -> BacktestResult:
        info.context.claim_bars((await info.context.sweeps.get(id)).request.backtest.market.limit)
        result = await info.context.sweeps.run_row(id, row, user_id=user_id)
        return result_of(result, max_rows=info.context.max_rows)

    @resolved("Cancel a job, which keeps what was computed; one that has ended stays as it is.")
    async def cancel_job(self, info: Info, id: JobId, user_id: JobUser) -> JobType:
        return await info.context.jobs.cancel(id, user_id=user_id)

    @resolved("Continue a cancelled, failed or interrupted job where it ended.")
    async def resume_job(self, info: Info, id: JobId, user_id: JobUser) -> JobType:
        return await info.context.jobs.resume(id, user_id=user_id)

    @resolved("Delete a job that no process works on, with its rows; the results that it stored stay. Its id.")
    async def delete_job(self, info: Info, id: JobId, user_id: JobUser) -> strawberry.ID:
        await info.context.jobs.delete(id, user_id=user_id)
        return id


Resolver = TypeVar("Resolver", bound=Callable[..., Any])


def _subscribed(description: str) -> Callable[[Resolver], Resolver]:
    """Declare a subscription that the decorated function serves (strawberry's own decorator hides its types)."""
    decorate: Callable[[Resolver], Resolver] = strawberry.subscription(description=description)
    return decorate


@strawberry.type(name="Subscription", description="What can be followed, over a WebSocket (graphql-transport-ws).")
class JobSubscription:
    @_subscribed("A job as it is, and then each change of it, until it has ended.")
    async def job_progress(self, info: Info, id: JobId) -> AsyncGenerator[JobType, None]:
        streams, jobs = info.context.job_streams, info.context.jobs
        owner = (await jobs.get(id)).user_id
        streams.check_free(owner)
        async for state in streams.follow(jobs, id, owner, idle_s=IDLE_S):
            if state is not None:
                yield state
