"""The units of figures, as clients read them."""

from __future__ import annotations

from typing import Final

PERCENT: Final = "per cent"
PERCENT_A_YEAR: Final = "per cent a year"
RATIO: Final = "ratio"
FRACTION: Final = "fraction"
PROBABILITY: Final = "probability, 0 to 1"
COUNT: Final = "count"
BARS: Final = "bars"
ROWS: Final = "count of rows"
QUOTE: Final = "quote currency"
BASE: Final = "units of the base asset"
