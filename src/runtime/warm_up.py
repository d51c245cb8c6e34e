"""Fill the compile cache: `python -m src.warmup`, run when the container's image is built."""

from __future__ import annotations

import time

from src.engines.registry import ENGINES
from src.service.warm_up import warm_up, warm_up_detail, warm_up_portfolios, warm_up_rules, warm_up_sweeps


def main() -> None:
    """Compile everything and keep it in numba's cache (the folder that NUMBA_CACHE_DIR names)."""
    started = time.perf_counter()
    warm_up(ENGINES)
    warm_up_rules()
    warm_up_sweeps()
    warm_up_detail()
    warm_up_portfolios()
    print(f"Compile cache filled in {time.perf_counter() - started:.1f} s")
