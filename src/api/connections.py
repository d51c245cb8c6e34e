"""The address of `http.connections` in 0.1.0, which commands of operators name after uvicorn's `--http`."""

from __future__ import annotations

from src.api.http.connections import BoundedHttpProtocol

__all__ = ["BoundedHttpProtocol"]
