"""Serve the tools at /mcp: one JSON response for each POST, without sessions, so that any worker may respond.

This is the only module that imports the optional package `mcp`. Hosts, origins, body sizes and disconnects are checked
by the layers around all endpoints; the package's own checks are off.
"""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import mcp_types as types
from fastapi import FastAPI
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from src import __version__
from src.api.job_streams import JobStreams
from src.api.mcp.definitions import DEFINITIONS, INSTRUCTIONS
from src.api.mcp.tools import Tools, describe_failure
from src.service.services import Services

MCP_PATH: Final = "/mcp"

# The package logs each request's life at INFO.
logging.getLogger("mcp").setLevel(logging.WARNING)


class McpEndpoint:
    """The endpoint of one process; `run` must be entered before the first request."""

    def __init__(self, services: Services, streams: JobStreams, *, max_bars: int) -> None:
        self._tools = Tools(services, streams, max_bars=max_bars)
        server: Server[Any] = Server(
            "backtesting-service",
            version=__version__,
            instructions=INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        self._sessions = StreamableHTTPSessionManager(
            server,
            json_response=True,
            stateless=True,
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )

    def run(self) -> AbstractAsyncContextManager[None]:
        """Return what must be entered while the application runs."""
        return self._sessions.run()

    def install(self, app: FastAPI) -> None:
        """Add the route; other methods than POST get 405, because there are no sessions and no streams."""
        app.router.routes.append(Route(MCP_PATH, self._endpoint(), methods=["POST"], include_in_schema=False))

    def _endpoint(self) -> Any:
        sessions = self._sessions

        class _Endpoint:
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await sessions.handle_request(scope, receive, send)

        return _Endpoint()

    async def _list_tools(self, _: object, __: object) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.schema,
                    annotations=types.ToolAnnotations(read_only_hint=tool.is_read_only, destructive_hint=False),
                )
                for tool in DEFINITIONS
            ]
        )

    async def _call_tool(self, _: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            text, is_error = await self._tools.call(params.name, params.arguments or {}), False
        except Exception as error:  # noqa: BLE001  (described, and logged if it was unexpected)
            text, is_error = describe_failure(error), True
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)
