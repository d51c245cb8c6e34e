"""Serve model files over REST: upload, list, delete, path, and a backtest with a file in the request."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from src.api.dependencies import max_bars_of, max_rows_of, services_of
from src.api.requests.backtests import build_request
from src.api.requests.uploads import FILE_FIELD, chunks_of, received_form, temporary_model
from src.api.rest.bodies import TrainingForm, read_ml_form, read_training_form
from src.api.rest.presenting import present_result, respond
from src.api.rest.result_schemas import ResultSchema
from src.api.rest.schemas import (
    BODY_ERRORS,
    MARKET_ERRORS,
    Envelope,
    HasRows,
    ModelFileSchema,
    UserId,
    described_by,
    error_responses,
    ml_backtest_body,
    upload_body,
)
from src.domain import errors
from src.domain.model_files import check_user_id

router = APIRouter(prefix="/api/models", tags=["models"])

Filename = Annotated[str, Path(description="The model's filename, as the upload returned it.")]

_FILE_ERRORS = (
    errors.MalformedRequest,
    errors.InvalidInput,
    errors.ModelRejected,
    errors.TooLarge,
    errors.UnsupportedFormat,
    errors.MissingLibrary,
    errors.SandboxUnavailable,
    errors.Busy,
    errors.TimedOut,
    errors.StoreUnavailable,
)


@router.post(
    "/upload",
    summary="Store a model file",
    response_model=Envelope[ModelFileSchema],
    openapi_extra=described_by(upload_body),
    responses=error_responses(*_FILE_ERRORS, errors.Conflict, extra=BODY_ERRORS),
)
async def upload_model(request: Request) -> Response:
    """Store a model file for a user."""
    async with received_form(request) as form:
        form.refuse_unknown((FILE_FIELD, "user_id", "model_name", *TrainingForm.model_fields))
        user_id = check_user_id(form.required_text("user_id"), field="user_id")
        training = read_training_form(form)
        file = form.required_file(FILE_FIELD)
        kept = await services_of(request).models.upload(
            user_id=user_id,
            original_filename=file.filename or "",
            model_name=form.text("model_name") or None,
            chunks=chunks_of(file),
            training=training,
        )
    return respond("Model uploaded successfully", ModelFileSchema.of(kept))


@router.get(
    "/user/{user_id}",
    summary="List a user's model files",
    response_model=Envelope[list[ModelFileSchema]],
    responses=error_responses(errors.InvalidInput, errors.StoreUnavailable),
)
async def list_models(request: Request, user_id: UserId) -> Response:
    """List the model files of a user."""
    files = await services_of(request).models.list(check_user_id(user_id, field="user_id"))
    return respond(f"{len(files)} model(s) found", [ModelFileSchema.of(file) for file in files])


@router.delete(
    "/user/{user_id}/model/{filename}",
    summary="Delete a model file",
    response_model=Envelope[ModelFileSchema],
    responses=error_responses(errors.InvalidInput, errors.ModelNotFound, errors.StoreUnavailable),
)
async def delete_model(request: Request, user_id: UserId, filename: Filename) -> Response:
    """Delete a model file."""
    file = await services_of(request).models.delete(check_user_id(user_id, field="user_id"), filename)
    return respond("Model deleted successfully", ModelFileSchema.of(file))


@router.get(
    "/user/{user_id}/model/{filename}/path",
    summary="Find a model file",
    response_model=Envelope[ModelFileSchema],
    responses=error_responses(errors.InvalidInput, errors.ModelNotFound, errors.StoreUnavailable),
)
async def get_model_path(request: Request, user_id: UserId, filename: Filename) -> Response:
    """Return the path of a model file on the server."""
    file = await services_of(request).models.get(check_user_id(user_id, field="user_id"), filename)
    return respond("Model path found", ModelFileSchema.of(file))


@router.post(
    "/backtest/ml",
    summary="Backtest a model file",
    response_model=Envelope[ResultSchema],
    openapi_extra=described_by(ml_backtest_body),
    responses=error_responses(*dict.fromkeys((*_FILE_ERRORS, *MARKET_ERRORS)), extra=BODY_ERRORS),
)
async def run_model_backtest(request: Request, rows: HasRows = True) -> Response:
    """Backtest the model file in the form; the file is removed when the request ends."""
    services = services_of(request)
    async with received_form(request) as form:
        given = read_ml_form(form)
        wanted = build_request(given, "model", given, max_bars=max_bars_of(request), has_model_file=True)
        file = form.required_file(FILE_FIELD)
        async with temporary_model(services.models, file, user_id=wanted.user_id) as model_file:
            result = await services.backtests.run(wanted, model_file)
    presented = partial(present_result, result, max_rows=max_rows_of(request), has_rows=rows)
    return await run_in_threadpool(lambda: respond("ML backtest completed successfully", presented()))
