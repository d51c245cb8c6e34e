"""Fill the compile cache: `python -m src.warmup`, run when the container's image is built."""

from __future__ import annotations

from src.runtime.warm_up import main

if __name__ == "__main__":
    main()
