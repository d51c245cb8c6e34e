"""Define the responses about jobs, sweeps and walk-forwards, for OpenAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from src.api.rest.response_schema import ResponseSchema, schema_for
from src.api.rest.result_schemas import DeflationSchema, metric_fields
from src.domain.jobs import Job, JobSubject
from src.domain.sweep_outcomes import SweepConclusion, SweepEstimate
from src.domain.sweeps import ROW_METRICS, Reduce
from src.domain.walk_forward import Fold, WalkForwardConclusion

if TYPE_CHECKING:

    class _Job(ResponseSchema):
        pass

    class JobSubjectSchema(ResponseSchema):
        pass

    class SweepConclusionSchema(ResponseSchema):
        pass

    class FoldSchema(ResponseSchema):
        pass

    class WalkForwardConclusionSchema(ResponseSchema):
        pass

    class EstimateSchema(ResponseSchema):
        pass
else:
    _Job, JobSubjectSchema = schema_for(Job), schema_for(JobSubject)
    SweepConclusionSchema = schema_for(SweepConclusion)
    FoldSchema, WalkForwardConclusionSchema = schema_for(Fold), schema_for(WalkForwardConclusion)
    EstimateSchema = schema_for(SweepEstimate)


class _TimedJob(_Job):
    eta_seconds: float | None = Field(
        description="Seconds until it is done at its present rate; null if that is not known. Unit: seconds."
    )


class JobSchema(_TimedJob):
    """Work that outlives the request that asked for it."""

    subject: JobSubjectSchema | None = Field(description="What it is about; null if its request cannot be read.")


def present_job(job: Job, subject: JobSubject | None) -> dict[str, object]:
    """Return a job as `JobSchema` describes it."""
    return {**_TimedJob.of(job), "subject": None if subject is None else JobSubjectSchema.of(subject)}


class CancelledJobSchema(JobSchema):
    """A job after it was cancelled; one that had ended before is as it was."""


class JobPageSchema(BaseModel):
    """One page of jobs, newest first."""

    items: list[JobSchema] = Field(description="The jobs of this page.")
    next_cursor: str | None = Field(description="`after` for the next page; null on the last page.")
    warnings: list[str] = Field(description="Jobs of this page that cannot be read, in full sentences.")


class SweepSchema(BaseModel):
    """A sweep: its job, what was asked for, and what it found."""

    job: JobSchema = Field(description="The job that computes it.")
    settings: dict[str, Any] = Field(description="What was asked for, defaults filled in.")
    conclusion: SweepConclusionSchema | None = Field(description="What it found; null while it has not succeeded.")
    deflation: DeflationSchema | None = Field(
        description="The best row's Sharpe ratio after all trials; null without one, or if its result was deleted."
    )


def _row_metrics() -> dict[str, Any]:
    return {name: (kind | None, shown) for name, (kind, shown) in metric_fields(ROW_METRICS).items()}


class _SweepRow(BaseModel):
    model_config = ConfigDict(extra="allow")

    row: int = Field(description="Its number, from 0.")


SweepRowSchema: Any = create_model(
    "SweepRowSchema",
    __base__=_SweepRow,
    __doc__="A row of a sweep: its number, the swept parameters under their names (after `parameter_` if a metric has "
    "that name), and its metrics, null if one does not exist.",
    **_row_metrics(),
)


class AxisSchema(BaseModel):
    """One axis of a heat map."""

    name: str = Field(description="The swept parameter.")
    values: list[float | str] = Field(description="Its values in rising order; the middles of bins if it was drawn.")


class HeatMapSchema(BaseModel):
    """A metric over two swept parameters."""

    x: AxisSchema = Field(description="The parameter of the columns.")
    y: AxisSchema = Field(description="The parameter of the rows.")
    metric: str = Field(description="The metric in the cells.")
    reduce: Reduce = Field(description="How the rows of a cell became one number.")
    cells: list[list[float | None]] = Field(description="A list for each value of y; null without a row.")
    counts: list[list[int]] = Field(description="Rows of each cell that have the metric. Unit: count.")
    best_rows: list[list[int | None]] = Field(
        description="Number of the row of each cell that is best by the objective, of those that can be the best if "
        "there is one; null without a row."
    )
    can_be_best: list[list[bool]] = Field(
        description="Whether that row can be the best of the sweep: false if it has too few trades, or a constraint on "
        "metrics leaves it out."
    )


class WalkForwardSchema(BaseModel):
    """A walk-forward: its job, what was asked for, the folds that are done, and what it found."""

    job: JobSchema = Field(description="The job that computes it.")
    settings: dict[str, Any] = Field(description="What was asked for, defaults filled in.")
    folds: list[FoldSchema] = Field(description="The folds that are done, in order.")
    conclusion: WalkForwardConclusionSchema | None = Field(
        description="What it found; null while it has not succeeded."
    )
