"""Write simulated bars to a CSV file: `python -m src.mockDataGenerator --bars 1000 --seed 42`."""

from __future__ import annotations

import argparse
import csv
import errno
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from src.bars.simulated import simulate_bars
from src.domain.bars import Bars
from src.domain.errors import InvalidInput, bad_value
from src.domain.instants import format_instant
from src.domain.intervals import INTERVALS, Interval
from src.domain.symbols import normalize_symbol

DEFAULT_OUTPUT: Final = Path("src/data/mock_backtest_data.csv")
COLUMNS: Final = ("Date", "Open", "High", "Low", "Close", "Volume")
MAX_BARS: Final = 10_000_000
_ROWS_AT_ONCE: Final = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 the file could not be written, 2 wrong input."""
    chosen = _parser().parse_args(arguments)
    try:
        start_ms = _instant_ms(chosen.start)
        if chosen.bars > MAX_BARS:
            raise bad_value("bars", got=chosen.bars, allowed=f"a whole number from 1 to {MAX_BARS:,}")
        interval = Interval.named(chosen.interval)
        bars = simulate_bars(normalize_symbol(chosen.symbol), interval, start_ms, chosen.bars, chosen.seed)
    except InvalidInput as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    try:
        write_csv(bars, chosen.output)
    except OSError as error:
        print(f"error: {chosen.output} could not be written: {error.strerror or error}", file=sys.stderr)
        return 1
    first, last = (format_instant(int(bars.open_time_ms[index])) for index in (0, -1))
    print(
        f"Wrote {len(bars):,} simulated {interval.name} bars of {bars.symbol} (seed {chosen.seed}) "
        f"to {chosen.output}: {first} to {last}."
    )
    return 0


def write_csv(bars: Bars, output: Path) -> None:
    """Write bars as Date (ISO 8601, UTC), Open, High, Low, Close, Volume; the file is written whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written, or if its name belongs to something other than a file, which is left unchanged.
    """
    if output.exists() and not output.is_file():
        raise OSError(errno.EEXIST, "it exists and is not an ordinary file")
    output = output.resolve()  # a symbolic link stays a link
    output.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for start in range(0, len(bars), _ROWS_AT_ONCE):
                part = bars.slice(start, min(start + _ROWS_AT_ONCE, len(bars)))
                prices = (part.open.tolist(), part.high.tolist(), part.low.tolist(), part.close.tolist())
                dates = map(format_instant, part.open_time_ms.tolist())
                writer.writerows(zip(dates, *prices, part.volume.tolist(), strict=True))
            file.flush()
            os.fsync(file.fileno())
        # Temporary files are private to their owner; the finished file has ordinary permissions.
        unfinished.chmod(0o644)
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.mockDataGenerator", description="Write simulated bars to a CSV file."
    )
    parser.add_argument("--seed", type=int, default=42, help="the same seed gives the same bars (default: 42)")
    parser.add_argument("--bars", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--interval", default="1d", help=f"one of {' '.join(INTERVALS)} (default: 1d)")
    parser.add_argument("--symbol", default="BTCUSDT", help="any symbol (default: BTCUSDT)")
    parser.add_argument(
        "--start", default="2022-01-01", help="YYYY-MM-DD or an ISO 8601 instant, UTC (default: 2022-01-01)"
    )
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help=f"CSV file (default: {DEFAULT_OUTPUT})")
    return parser


def _instant_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_value("start", got=text, allowed="YYYY-MM-DD or a full ISO 8601 instant") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


if __name__ == "__main__":
    raise SystemExit(main())
