"""Serve over HTTP as the settings say: `python -m src.serve`, which `run.py dev` and `run.py prod` start."""

from __future__ import annotations

import sys

from src.runtime.serve import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
