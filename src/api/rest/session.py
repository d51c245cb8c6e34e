"""Serve the pages' sign-in: a key is exchanged for a session, whose cookie scripts cannot read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from src.api.allowance import client_address
from src.api.components import component
from src.api.dependencies import authenticator_of, sessions_of
from src.api.errors import describe_http_error, problem_response
from src.api.http.authentication import SESSION_COOKIE, is_own_page, read_credentials, refuse
from src.api.rest.body_models import JSON_MEDIA_TYPE, check_json, make_body, read_object
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import BODY_ERRORS, Envelope, described_by, error_responses
from src.domain import errors
from src.domain.identity import AuthMode
from src.domain.instants import format_instant
from src.ports.identity import Credentials, Session

router = APIRouter(prefix="/api/session", tags=["operations"], route_class=NamedQueryRoute)

SignInBody = make_body(
    "SignIn", "A key to sign in with.", others={"api_key": (str, Field(description="An API key of AUTH=keys."))}
)


class SessionSchema(BaseModel):
    """Who sends the request."""

    auth: AuthMode = Field(description="How the service knows who asks: the setting AUTH.")
    user_id: str | None = Field(description="Who sends the request; null if that is not known, or AUTH is none.")
    can_sign_in: bool = Field(description="Whether the pages ask for a key.")
    expires: str | None = Field(None, description="When the session ends that has begun now (ISO 8601).")


def sign_in_body() -> dict[str, Any]:
    """Describe the body of a sign-in."""
    content = {JSON_MEDIA_TYPE: {"schema": component("SignIn", SignInBody.model_json_schema())}}
    return {"requestBody": {"required": True, "content": content}}


@router.get(
    "",
    summary="Say who sends the request",
    response_model=Envelope[SessionSchema],
    responses=error_responses(errors.StoreUnavailable),
)
async def get_session(request: Request) -> Response:
    """Say who sends the request, and whether the pages ask for a key. The question itself needs none."""
    authenticator = authenticator_of(request)
    try:
        user_id = (await authenticator.identify(read_credentials(request.scope))).user_id
    except errors.Unauthenticated:
        user_id = None
    return _respond(request, "Signed in" if user_id else "Not signed in", user_id)


@router.post(
    "",
    summary="Sign in on the pages",
    response_model=Envelope[SessionSchema],
    openapi_extra=described_by(sign_in_body),
    responses=error_responses(
        errors.MalformedRequest,
        errors.InvalidInput,
        errors.TooLarge,
        errors.UnsupportedFormat,
        errors.InvalidCredentials,
        errors.NotFound,
        errors.StoreUnavailable,
        extra=BODY_ERRORS,
    ),
)
async def start_session(request: Request) -> Response:
    """Exchange an API key for a session of 12 hours, whose cookie the browser keeps and no script can read."""
    sessions = sessions_of(request)
    if sessions is None:
        raise errors.NotFound("The service takes no API keys. Set AUTH=keys to sign in with one.")
    if not is_own_page(request.headers):
        # An allowed page of another origin could sign its visitors in as a user of its own choice.
        refused = describe_http_error("ORIGIN_NOT_ALLOWED", "Only the service's own pages may sign in.")
        return problem_response(request, refused)
    check_json(request.headers.get("content-type", ""))
    key = read_object(await request.body(), SignInBody)["api_key"]
    given = Credentials(headers=(("x-api-key", key),), address=client_address(request.scope))
    try:
        await authenticator_of(request).identify(given)  # which counts wrong keys
        session = await sessions.sign_in(key)
        # From no address, so that it counts as accepted wherever it comes from.
        await authenticator_of(request).identify(Credentials(headers=(), session=session.token))
    except errors.Unauthenticated as error:
        return refuse(request, error, authenticator_of(request))
    response = _respond(request, "Signed in", session.user_id, session)
    response.set_cookie(
        SESSION_COOKIE,
        session.token,
        max_age=sessions.session_s,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.delete(
    "",
    summary="Sign out of the pages",
    response_model=Envelope[SessionSchema],
    responses=error_responses(errors.StoreUnavailable),
)
async def delete_session(request: Request) -> Response:
    """End the session of the request's cookie, if there is one."""
    sessions, token = sessions_of(request), read_credentials(request.scope).session
    if sessions is not None and token is not None:
        await sessions.sign_out(token)
    response = _respond(request, "Signed out", None)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return response


def _respond(request: Request, message: str, user_id: str | None, session: Session | None = None) -> Response:
    found = SessionSchema(
        auth=authenticator_of(request).mode,
        user_id=user_id,
        can_sign_in=sessions_of(request) is not None,
        expires=None if session is None else format_instant(session.expires_ms),
    )
    return respond(message, found.model_dump(mode="json"), headers={"Cache-Control": "no-store"})
