"""Warn at start if more clients can reach users' data than the operator may expect."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from src.domain.identity import AuthMode
from src.settings import Settings


def find_exposure(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each way in which clients on other machines reach data that they should not."""
    if _is_loopback(settings.host):
        return
    if settings.auth is AuthMode.NONE:
        yield (
            f"HOST IS {settings.host} AND AUTH IS none: EVERY CLIENT THAT REACHES THIS ADDRESS CAN READ AND DELETE "
            "THE THINGS OF EVERY USER. Set AUTH to keys, jwt or header, or HOST to 127.0.0.1."
        )
    elif settings.auth is AuthMode.HEADER:
        yield (
            f"HOST is {settings.host} and AUTH is header: clients that reach this address without the gateway can name "
            f"any user in {settings.auth_header}."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
