"""Keep the address of `http.connections` in 0.1.0, which operators give to uvicorn's `--http`."""

from __future__ import annotations

from src.api.http.connections import BoundedHttpProtocol

__all__ = ["BoundedHttpProtocol"]
