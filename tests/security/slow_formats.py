"""A registry whose only family takes a minute to start, because importing this module in a zygote takes that long."""

from __future__ import annotations

import sys
import time

from tests.security.plain_formats import (
    ENVIRONMENT,
    FORMAT_NAMES,
    HIDDEN_MODULES,
    FormatEntry,
    family_of,
    load_model,
    prepare,
    reported_missing,
)

__all__ = [
    "ENVIRONMENT",
    "FORMATS",
    "FORMAT_NAMES",
    "HIDDEN_MODULES",
    "family_of",
    "load_model",
    "prepare",
    "reported_missing",
]

FORMATS = {".pkl": FormatEntry(family="slow", module=__name__, preload=("pickle",))}

if "src.sandbox.zygote" in sys.modules and "pytest" not in sys.modules:
    time.sleep(60)
