"""Hold the paths that the layers around the endpoints must know before routing."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

GRAPHQL_PATH: Final = "/graphql"

FORM_PATHS: Final = frozenset({"/api/models/upload", "/api/models/backtest/ml", "/api/data/upload", GRAPHQL_PATH})
"""Paths that receive files: only there may a body be as large as a file."""


def path_in(scope: Scope) -> str:
    """Return the path as the application's routes have it, without a proxy's prefix (root_path)."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
