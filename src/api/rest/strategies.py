"""Serve what a client can choose from, strategies and indicators with their parameters, and check rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from src.api.requests.rules import check_rules
from src.api.rest.bodies import read_rules_body
from src.api.rest.body_models import check_json
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.response_schema import ResponseSchema, schema_for
from src.api.rest.schemas import BODY_ERRORS, Envelope, described_by, error_responses, rules_body
from src.domain import errors
from src.domain.catalog import StrategyCatalog
from src.domain.rules import RuleReport
from src.strategies.catalog import build_catalog

router = APIRouter(prefix="/api/strategies", tags=["strategies"], route_class=NamedQueryRoute)

if TYPE_CHECKING:

    class CatalogSchema(ResponseSchema):
        pass

    class RuleReportSchema(ResponseSchema):
        pass
else:
    CatalogSchema = schema_for(StrategyCatalog)
    RuleReportSchema = schema_for(RuleReport)


@router.get("", summary="List strategies and indicators", response_model=Envelope[CatalogSchema])
async def list_strategies() -> Response:
    """List the strategies and the indicators with their parameters, and the functions and columns of rules.

    A form, or an editor of rules, can be built from it.
    """
    catalog = build_catalog()
    count = len(catalog.strategies)
    return respond(f"{count} strategies, {len(catalog.indicators)} indicators", CatalogSchema.of(catalog))


@router.post(
    "/check",
    summary="Check rules without a backtest",
    response_model=Envelope[RuleReportSchema],
    openapi_extra=described_by(rules_body),
    responses=error_responses(
        errors.MalformedRequest, errors.InvalidInput, errors.TooLarge, errors.UnsupportedFormat, extra=BODY_ERRORS
    ),
)
async def describe_rules(request: Request) -> Response:
    """Describe rules without trading them: what they read, how far they look back, and what is wrong with each."""
    check_json(request.headers.get("content-type", ""))
    report = check_rules(read_rules_body(await request.body()))
    count = len(report.faults)
    needs = " with a model" if report.reads_model else ""
    message = f"{count} fault(s)" if count else f"The rules can be traded{needs}"
    return respond(message, RuleReportSchema.of(report))
