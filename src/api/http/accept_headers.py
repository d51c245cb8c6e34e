"""Read Accept and Accept-Encoding headers: lists with weights (RFC 9110, 12.4.2)."""

from __future__ import annotations

from collections.abc import Mapping


def weights_in(header: str) -> Mapping[str, float]:
    """Return each item of an Accept or Accept-Encoding header, in lower case, with its weight, 0 to 1.

    The weight is 1 if none is given, and 0 (not acceptable) if it is not a number. If an item occurs twice, the first
    counts. Parameters other than q are ignored.
    """
    weights: dict[str, float] = {}
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weight = next((part.removeprefix("q=") for part in parameters if part.startswith("q=")), "1")
        try:
            weights.setdefault(name, float(weight))
        except ValueError:
            weights.setdefault(name, 0.0)
    return weights
