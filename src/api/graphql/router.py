"""Serve GraphQL over HTTP: read requests, write responses and errors as the specifications say; and subscriptions.

GraphQL over HTTP: https://graphql.github.io/graphql-over-http/draft/. Responses are `application/json` with status 200
even if the document has errors. If the client prefers `application/graphql-response+json`, the status shows the error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
from cross_web import AsyncHTTPRequestAdapter, FormData, HTTPException, StarletteRequestAdapter
from starlette.requests import Request
from starlette.responses import Response
from strawberry.fastapi import GraphQLRouter
from strawberry.http import GraphQLHTTPResponse
from strawberry.http.base import BaseRequestProtocol
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET

from src.api.error_table import code_of_status
from src.api.errors import (
    describe_error,
    extensions_of,
    extensions_of_code,
    graphql_message,
    request_error,
    retry_header,
)
from src.api.graphql.context import GraphQLContext
from src.api.graphql.errors import is_request_error
from src.api.graphql.limits import DocumentLimits
from src.api.graphql.multipart import OperationsForm, place_files
from src.api.graphql.openapi import GRAPHQL_JSON, PLAIN_JSON, describe_routes
from src.api.graphql.schema import BacktestSchema, build_schema
from src.api.graphql.sockets import (
    INIT_S,
    MAX_SUBSCRIPTIONS,
    BoundedSocket,
    OpenSockets,
    SubscriptionHandler,
    authenticate_socket,
)
from src.api.http.accept_headers import weights_in
from src.api.http.multipart import receive_form
from src.api.json_bodies import check_names
from src.api.json_responses import JsonResponse
from src.api.paths import GRAPHQL_PATH
from src.domain.errors import MalformedRequest, ServiceError


def build_graphql_router(
    *,
    max_depth: int,
    max_aliases: int,
    max_tokens: int,
    has_introspection: bool,
    is_user_optional: bool = False,
    path: str = GRAPHQL_PATH,
    page: Page | None = None,
) -> GraphQLRouter[GraphQLContext, None]:
    """Build the GraphQL endpoint; it reads the services from the state of its application.

    Parameters
    ----------
    max_depth, max_aliases, max_tokens
        Limits of one document: nested fields, aliases, lexical tokens (counts).
    has_introspection
        Whether clients may read the schema; the page needs it.
    is_user_optional
        Whether requests may leave `userId` out, because their sender is known.
    page
        The page for a browser that opens the path without a query; with None it gets an error, like other clients.
    """
    limits = DocumentLimits(max_depth=max_depth, max_aliases=max_aliases, max_tokens=max_tokens)
    schema = build_schema(limits, has_introspection=has_introspection, is_user_optional=is_user_optional)
    return BacktestRouter(schema, path, page=page if has_introspection else None)


Page = Callable[[Request], Response]
"""Returns the page for a browser's request."""


class MultipartAdapter(StarletteRequestAdapter):
    """A request whose form is read by `OperationsForm`."""

    async def get_form_data(self) -> FormData:
        reader = OperationsForm(self._request)
        form = await self._request.state.exit_stack.enter_async_context(receive_form(reader))
        return FormData(files=dict(form.multi_items()), form=reader.texts)


class BacktestRouter(GraphQLRouter[GraphQLContext, None]):
    """Strawberry's endpoint, with our JSON, our uploads and our errors."""

    request_adapter_class = MultipartAdapter
    websocket_adapter_class = BoundedSocket
    graphql_transport_ws_handler_class = SubscriptionHandler

    def __init__(self, schema: BacktestSchema, path: str, *, page: Page | None = None) -> None:
        super().__init__(
            schema,
            path,
            graphql_ide=None if page is None else "graphiql",
            context_getter=_new_context,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=INIT_S),
            max_subscriptions_per_connection=MAX_SUBSCRIPTIONS,
            multipart_uploads_enabled=True,
            tags=["GraphQL"],
        )
        self._page = page
        self._sockets = OpenSockets()
        describe_routes(self)

    async def run(self, request: Any, context: Any = None, root_value: Any = None) -> Any:
        if self.is_websocket_request(request):
            serve_one = partial(super().run, request, context, root_value)
            return await self._sockets.serve(request, serve_one)
        async with AsyncExitStack() as request.state.exit_stack:  # closes the files of a form
            try:
                response: Response = await super().run(request, context, root_value)
            except HTTPException as error:
                response = _unreadable_response(error)
            except ServiceError as error:
                response = _failed_response(error)
        if isinstance(context, GraphQLContext):
            context.forget_results()  # a client may take long to read the response
            if context.refusal is not None:
                described = describe_error(context.refusal)
                response.status_code = described.status
                response.headers.update(retry_header(described))
        if response.media_type == PLAIN_JSON and prefers_graphql_json(request.headers.get("accept", "")):
            response.headers["content-type"] = f"{GRAPHQL_JSON}; charset=utf-8"
            if isinstance(response, _UnexecutedResponse) and response.status_code == 200:
                response.status_code = 400
        return response

    async def execute_operation(self, *, request_data: Any, **others: Any) -> Any:  # type: ignore[override]  # as called
        """Execute without streaming, whatever the client accepts: subscriptions use a WebSocket."""
        if not isinstance(request_data, list):
            request_data = replace(request_data, protocol="http")
        return await super().execute_operation(request_data=request_data, **others)

    async def on_ws_connect(self, context: GraphQLContext) -> Any:
        """Authenticate a WebSocket by its first message, unless its handshake did."""
        await authenticate_socket(context.connection, context.connection_params)
        return UNSET

    def should_render_graphql_ide(self, request: BaseRequestProtocol) -> bool:
        """Show the page to browsers only: a client that accepts anything wants data."""
        accepted = weights_in(request.headers.get("accept", ""))
        return super().should_render_graphql_ide(request) and accepted.get("text/html", 0.0) > 0

    async def render_graphql_ide(self, request: Request) -> Response:  # type: ignore[override]  # any response will do
        if self._page is None:
            raise RuntimeError("the router was built without a page for browsers")
        response = self._page(request)
        response.headers["Vary"] = "Accept"
        return response

    def decode_json(self, data: str | bytes) -> object:
        value = orjson.loads(data)
        check_names(data)
        # A body is bytes; the JSON in a GET's parameters is text, and may be null.
        if isinstance(data, bytes):
            if not isinstance(value, dict | list):
                raise MalformedRequest("The body is not a JSON object.")
            if isinstance(value, dict):
                _check_operation_name(value)
        return value

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    async def parse_multipart(self, request: AsyncHTTPRequestAdapter) -> dict[str, Any]:
        form = await request.get_form_data()
        operations = place_files(form.form, form.files)
        _check_operation_name(operations)
        return operations

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        response = await super().process_result(request, result)
        if is_request_error(result.data, result.errors):
            del response["data"]
        return response

    def create_response(
        self,
        response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse],
        sub_response: Response,  # noqa: ARG002  (strawberry passes it by name)
    ) -> Response:
        if "data" in response_data:
            return JsonResponse(response_data)
        return _UnexecutedResponse(self.encode_json(response_data), media_type=PLAIN_JSON)


def prefers_graphql_json(accepted: str) -> bool:
    """Return whether an Accept header names GraphQL's media type, and does not prefer plain JSON."""
    weights = weights_in(accepted)
    weight = weights.get(GRAPHQL_JSON, 0.0)
    return weight > 0 and weight >= weights.get(PLAIN_JSON, 0.0)


def _check_operation_name(operations: Mapping[str, Any]) -> None:
    """Raise MalformedRequest if it is not text; Strawberry checks the other members."""
    if not isinstance(operations.get("operationName"), str | None):
        raise MalformedRequest("The operationName must be text or null.")


async def _new_context() -> GraphQLContext:
    # Asynchronous only because FastAPI runs plain functions and classes in a worker thread.
    return GraphQLContext()


class _UnexecutedResponse(Response):
    """The response to a document that was not executed."""


def _unreadable_response(error: HTTPException) -> Response:
    """Return the response to a request that is not GraphQL, or uses a wrong method."""
    cause = error.__cause__
    if isinstance(cause, InvalidOperationTypeError) and cause.operation_type is OperationType.SUBSCRIPTION:
        message = f"Subscriptions need a WebSocket with the subprotocol {GRAPHQL_TRANSPORT_WS_PROTOCOL}."
        return _write(request_error(message, extensions_of_code(MalformedRequest.code)), 400)
    if isinstance(cause, InvalidOperationTypeError):
        response = _write(request_error(f"{error.reason}; use POST", extensions_of_code("METHOD_NOT_ALLOWED")), 405)
        response.headers["Allow"] = "POST"
        return response
    return _write(request_error(error.reason, extensions_of_code(code_of_status(error.status_code))), error.status_code)


def _failed_response(error: ServiceError) -> Response:
    """Return the response to a request that was refused before its document was executed."""
    described = describe_error(error)
    response = _write(request_error(graphql_message(described), extensions_of(described)), described.status)
    response.headers.update(retry_header(described))
    return response


def _write(body: dict[str, Any], status: int) -> Response:
    return Response(orjson.dumps(body), status, media_type=PLAIN_JSON)
