"""Serve what a user has used of the limits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from src.api.allowance import sender_of
from src.api.dependencies import services_of
from src.api.rest import values
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.response_schema import ResponseSchema
from src.api.rest.schemas import Envelope, error_responses
from src.api.usage import present_rates, present_stored
from src.domain import errors

router = APIRouter(prefix="/api/usage", tags=["operations"], route_class=NamedQueryRoute)


class RateUseSchema(ResponseSchema):
    """What is used of one limit per time, in the process that responds."""

    name: str = Field(description="requests, uploads or core-seconds.")
    used: float = Field(
        description="Requests and uploads as a count, processor time in seconds, of the latest window_s seconds; it "
        "can be more than is allowed."
    )
    allowed: int = Field(description="What is allowed in any window_s seconds.")
    window_s: int = Field(description="Length of the window, seconds.")
    free_after_s: int = Field(description="Seconds until more is free, rounded up; 0 if nothing is used.")
    setting: str = Field(description="The operator's setting.")


class StoredUseSchema(ResponseSchema):
    """What is stored of one kind."""

    name: str = Field(description="results, jobs, trials, models or datasets.")
    count: int = Field(description="Number of them.")
    size_mb: float = Field(description="Their size, MiB.")
    max_count: int | None = Field(description="How many may be stored; null if only their size is limited.")
    max_mb: float | None = Field(description="The size that they may have, MiB; null if only their number is limited.")


class UsageSchema(ResponseSchema):
    """What a user has used."""

    user_id: str = Field(description="Whose usage it is.")
    limits: list[RateUseSchema] = Field(description="The limits per time that are set; empty if there are none.")
    stored: list[StoredUseSchema] = Field(description="What is stored, with its quota.")


@router.get(
    "",
    summary="Show what is used of the limits",
    response_model=Envelope[UsageSchema],
    responses=error_responses(errors.InvalidInput, errors.StoreUnavailable),
)
async def get_usage(
    request: Request,
    user_id: Annotated[str, Query(description="Whose usage.", json_schema_extra=values.USER_ID)],
) -> Response:
    """Show what is used of the limits per time, and what is stored. With AUTH=none requests and uploads are those of
    the client's address."""
    usage = await services_of(request).usage.read(user_id, sender=sender_of(request.scope))
    found = {"user_id": usage.user_id, "limits": present_rates(usage), "stored": present_stored(usage)}
    return respond("Usage", found, headers={"Cache-Control": "no-store"})
