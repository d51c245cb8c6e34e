"""Serve the OpenAPI document at /openapi.json, made when it is first asked for."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from src.api.rest.openapi import complete_openapi

OPENAPI_PATH: Final = "/openapi.json"


def install_document(app: FastAPI, *, is_limited: bool) -> None:
    """Complete the document of an application, and add its route.

    FastAPI's own route would make the document on the event loop, which it takes 1 s of. To make it after each start of
    a worker would cost that second whether or not anyone reads it.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete_openapi(
                generate(),
                max_bars=app.state.max_bars,
                max_rows=app.state.max_rows,
                mode=app.state.authenticator.mode,
                is_limited=is_limited,
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    making = asyncio.Lock()

    async def read_document(request: Request) -> Response:
        if app.openapi_schema is None:
            async with making:
                await asyncio.to_thread(openapi)
        document = openapi()
        root_path = request.scope.get("root_path", "").rstrip("/")
        return JSONResponse(document | {"servers": [{"url": root_path}]} if root_path else document)

    app.add_route(OPENAPI_PATH, read_document, include_in_schema=False)
