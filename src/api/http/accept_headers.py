"""What a client accepts, and how much: the lists with weights of RFC 9110, 12.4.2."""

from __future__ import annotations

from collections.abc import Mapping


def weights_in(header: str) -> Mapping[str, float]:
    """Return each item of an Accept or Accept-Encoding header, in lower case, with its weight, 0 to 1.

    1 where none is given, 0 (not acceptable) where it is no number. Of an item that stands there twice the first
    counts; parameters other than q are left out.
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
