"""Serve receipts: what a stored result was computed from and what came out, signed, for checks without the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from src.api.canonical_json import MAX_WHOLE_NUMBER, canonical_json
from src.api.dependencies import process_of, services_of
from src.api.rest.backtests import ResultId
from src.api.rest.presenting import present_summary
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.result_schemas import JudgementSchema, SampleSchema
from src.api.rest.schemas import error_responses
from src.domain import errors
from src.domain.judgement import LedgerSnapshot
from src.domain.runs import BacktestResult
from src.ports.signing import Signer

KEYS_PATH: Final = "/.well-known/backtesting-receipt-keys.json"
ALGORITHM: Final = "Ed25519"
RECEIPT_FORMAT: Final = 1
STATEMENT: Final = (
    "This receipt says what was computed from what: these figures, by this version, from the bars and the model with "
    "these fingerprints. It does not say that the market will do it again."
)

router = APIRouter(tags=["backtests"], route_class=NamedQueryRoute)


class ReceiptSchema(BaseModel):
    """A signed receipt, in the canonical JSON of RFC 8785."""

    payload: dict[str, Any] = Field(description="What was computed from what; the signature is of its canonical bytes.")
    signature: str = Field(description="The signature of the payload, base64url without padding.")
    key_id: str = Field(description="`kid` of the key in the key set.")
    algorithm: str = Field(description="Always Ed25519.")


class PublicKey(BaseModel):
    """A public key as a JWK (RFC 7517, RFC 8037)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]

    kid: str = Field(description="The key's thumbprint (RFC 7638), which receipts name.")


class KeySetSchema(BaseModel):
    """Public keys of receipts as a JWK set (RFC 7517, RFC 8037): the present one first, then retired ones."""

    keys: list[PublicKey] = Field(description="Public keys.")


_FINGERPRINTS: Final = ("data_fingerprint", "model_sha256", "funding_fingerprint", "versions", "origin")


@router.get(
    "/api/backtests/{result_id}/receipt",
    summary="Read a signed receipt",
    response_model=ReceiptSchema,
    responses=error_responses(errors.InvalidInput, errors.ResultNotFound, errors.StoreUnavailable),
)
async def get_receipt(request: Request, result_id: ResultId) -> Response:
    """Read a signed receipt of a stored result, to be checked without the service by `tools/verify_receipt.py`."""
    services = services_of(request)
    result = await services.results.get(result_id)
    content = await run_in_threadpool(lambda: write_receipt(result, services.signer))
    return Response(content, media_type="application/json")


@router.get(KEYS_PATH, summary="Read the public keys of receipts", response_model=KeySetSchema)
async def list_receipt_keys(request: Request) -> Response:
    """Read the public keys that receipts are checked with."""
    keys = [dict(key) for key in process_of(request).signer.public_keys]
    return Response(canonical_json({"keys": keys}), media_type="application/json")


def write_receipt(result: BacktestResult, signer: Signer) -> bytes:
    """Return the signed receipt of a result, as canonical JSON."""
    payload = build_payload(result)
    signature = signer.sign(canonical_json(payload))
    return canonical_json({"payload": payload, "signature": signature, "key_id": signer.key_id, "algorithm": ALGORITHM})


def build_payload(result: BacktestResult) -> dict[str, object]:
    """Return what the signature covers: figures and texts as the REST API shows them, without the tables.

    A whole number that a double cannot hold, such as the seed of simulated bars, is written as text.
    """
    shown = present_summary(result)
    payload = {
        "format": RECEIPT_FORMAT,
        "statement": STATEMENT,
        "id": result.id,
        "created_at": shown["created_at"],
        "request": {name: shown[name] for name in ("user_id", "symbol", "interval", "engine", "settings", "strategy")},
        "fingerprints": {name: shown[name] for name in _FINGERPRINTS},
        "metrics": shown["metrics"],
        "judgement": None if result.judgement is None else JudgementSchema.of(result.judgement),
        "in_sample": None if result.in_sample is None else SampleSchema.of(result.in_sample),
        "out_of_sample": None if result.out_of_sample is None else SampleSchema.of(result.out_of_sample),
        "ledger": _present_ledger(result.ledger),
        "warnings": shown["warnings"],
    }
    return {name: _with_exact_numbers(value) for name, value in payload.items()}


def _with_exact_numbers(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _with_exact_numbers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_exact_numbers(item) for item in value]
    return str(value) if isinstance(value, int) and abs(value) > MAX_WHOLE_NUMBER else value


def _present_ledger(ledger: LedgerSnapshot | None) -> dict[str, str] | None:
    if ledger is None:
        return None
    return {"head_before": ledger.head_before, "head_after": ledger.head_after}
