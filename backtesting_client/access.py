"""Identify the user to the service: read the key or token, and build the header."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

KEY_VARIABLE: Final = "BACKTESTING_API_KEY"


def authorization(api_key: str | None, token: str | None) -> Mapping[str, str]:
    """Return the header with a key or token; empty if neither is given, and the variable is not set.

    Raises ValueError if both are given, or one cannot be a key or token; its text does not show them.
    """
    if api_key is not None and token is not None:
        raise ValueError("api_key and token are both given. Allowed: one of them.")
    secret = token or api_key or (os.environ.get(KEY_VARIABLE, "") if token is None and api_key is None else "")
    secret = secret.strip()
    if not secret:
        if api_key is not None or token is not None:
            raise ValueError("api_key or token is empty.")
        return {}
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise ValueError("api_key or token holds characters that none has, such as spaces.")
    # Not X-API-Key: httpx hides this header where it shows requests.
    return {"Authorization": f"Bearer {secret}"}
