"""Serve what a client can choose from: strategies and indicators with their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response

from src.api.rest.answer_model import Answer, answer_for
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import Envelope
from src.domain.catalog import StrategyCatalog
from src.strategies.catalog import build_catalog

router = APIRouter(prefix="/api/strategies", tags=["strategies"], route_class=NamedQueryRoute)

if TYPE_CHECKING:

    class CatalogAnswer(Answer):
        pass
else:
    CatalogAnswer = answer_for(StrategyCatalog)


@router.get("", response_model=Envelope[CatalogAnswer])
async def list_strategies() -> Response:
    """List the strategies and the indicators with their parameters: a form can be made of it."""
    catalog = build_catalog()
    count = len(catalog.strategies)
    return respond(f"{count} strategies, {len(catalog.indicators)} indicators", CatalogAnswer.of(catalog))
