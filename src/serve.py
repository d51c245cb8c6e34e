"""Serve over HTTP with the settings (`python -m src.serve`); `run.py dev` and `run.py prod` start it."""

from __future__ import annotations

import sys

from src.runtime.serve import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
