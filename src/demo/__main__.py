"""Run the demo (`python -m src.demo`); exit code 0 only if results were shown and read back from the store.

With `--serve` the service then stays up, so that a browser can show the tear sheets, until a signal ends it.
"""

from __future__ import annotations

import argparse
import io
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import httpx

from src.demo.client import BARS, INTERVAL, SYMBOL, Client, ServiceRefused, Shown
from src.demo.picture import can_show_blocks, draw_curve, draw_table, format_number
from src.demo.server import RunningService, ServiceFailed, running_service
from src.settings import Settings, SettingsError, read_settings

APPLICATION: Final = "src.backtest_API:app"
CROSSOVERS: Final = ((20, 50), (10, 30), (50, 200))
"""Lengths of the fast and the slow moving average, in bars."""

PRESETS: Final = {
    "rsi": {"low": 30, "high": 70},
    "macd": {},
    "supertrend": {},
    "buyAndHold": True,
    "rules": {"buy": "rsi(2) < 10 and close > sma(200)", "sell": "close > sma(5)"},
}
"""Strategies of the service with their parameters; true for one that has none."""

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "train_and_backtest.py"
EXAMPLE_TIMEOUT_S: Final = 300.0

REPORT_EVERY_S: Final = 15.0
CURVE_HEIGHT: Final = 8
WIDEST: Final = 110
TABLE_HEAD: Final = ("strategy", "engine", "return %", "Sharpe", "drawdown %", "trades", "verdict")
"""Short enough for a table of 80 columns."""


def main(application: str = APPLICATION, example: Path = EXAMPLE, *, stays_up: bool = False) -> int:
    """Start the service, run the backtests and the example with a model, show them, stop the service.

    With `stays_up` the service is stopped by Ctrl-C or SIGTERM only; the exit code is 1 if it ends by itself.
    """
    signal.signal(signal.SIGTERM, _leave)
    try:
        settings = read_settings()
        with running_service(settings, application) as service:
            return _show(service, settings, example, stays_up=stays_up)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (SettingsError, ServiceFailed, ServiceRefused, httpx.HTTPError, OSError) as error:
        _clear_line()
        print(f"The demo cannot continue: {error}", file=sys.stderr)
        return 1


def _leave(number_of_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number_of_signal)  # unwinds the stack, which stops the service and removes its folder


def _show(service: RunningService, settings: Settings, example: Path, *, stays_up: bool) -> int:
    print(f"Starting the service at {service.address}: embedded store, a temporary folder.")
    seconds = service.wait_until_ready(_ProgressIndicator())
    _clear_line()
    print(f"Ready after {seconds:.1f} s. Running {SYMBOL} {INTERVAL}, {BARS} bars, over GraphQL.\n")
    with httpx.Client(base_url=service.address, trust_env=False) as http:
        client = Client(http)
        results, refusal = run_backtests(client)
        _print_origin(results[0], refusal)
        _print_table(results)
        _print_curve(results[0])
        _print_warnings(results[0])
        if not client.is_stored(results[0]):
            print(f"The stored result {results[0].id} differs from the response.", file=sys.stderr)
            return 1
        print(f"Read back from the store by its id, with the same figures: {results[0].id}\n")
    if not _show_models(service.address, example):
        return 1
    if stays_up:
        _print_pages(service.address, results[0])
        service.wait_until_it_ends()
    _print_next_steps(settings)
    return 0


def _show_models(address: str, example: Path) -> bool:
    """Run the example that trains a model and sends its files; True if it succeeds, or is not installed."""
    if not example.exists():
        return True
    print(f"A trained model, opened in the sandbox only ({example.name}):\n", flush=True)
    done = subprocess.run([sys.executable, str(example), "--url", address], check=False, timeout=EXAMPLE_TIMEOUT_S)
    print()
    return done.returncode == 0


def run_backtests(client: Client) -> tuple[list[Shown], ServiceRefused | None]:
    """Run every crossover on every engine, and the presets on one.

    They run on the exchange's bars, or on simulated ones if the exchange fails.

    Returns
    -------
    The results, and why the exchange's bars could not be fetched (None: they could).
    """
    engines = client.engines()
    presets = PRESETS if client.has_presets() else {}

    def run_all(source: str | None) -> list[Shown]:
        crossovers = [
            client.crossover(engine, fast=fast, slow=slow, source=source)
            for fast, slow in CROSSOVERS
            for engine in engines
        ]
        return crossovers + [client.preset(name, params, source=source) for name, params in presets.items()]

    try:
        return run_all(None), None
    except ServiceRefused as error:
        if not error.code.startswith("EXCHANGE_"):
            raise
        # Run all rows again: a table that compares strategies must use the same bars in each row.
        return run_all("simulated"), error


class _ProgressIndicator:
    """Shows that time passes: a spinner on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._reported = 0.0

    def __call__(self, seconds: float) -> None:
        if sys.stdout.isatty():
            sys.stdout.write(f"\r{'|/-'[int(seconds * 5) % 3]} warming up: {seconds:.0f} s")
            sys.stdout.flush()
        elif seconds - self._reported >= REPORT_EVERY_S:
            self._reported = seconds
            print(f"warming up: {seconds:.0f} s so far", flush=True)


def _clear_line() -> None:
    if sys.stdout.isatty():
        sys.stdout.write("\r\x1b[K")


def _print_origin(shown: Shown, refusal: ServiceRefused | None) -> None:
    print(f"Bars: {shown.origin}, {shown.dates[0][:10]} to {shown.dates[-1][:10]}.")
    print(f"Buying and holding returned {format_number(shown.buy_and_hold_return)} %.")
    if refusal is not None:
        print(f"Binance failed: {refusal}")
    print()


def _print_table(results: Sequence[Shown]) -> None:
    rows = [
        (
            shown.strategy,
            shown.engine,
            format_number(shown.total_return),
            format_number(shown.sharpe_ratio),
            format_number(shown.max_drawdown),
            str(shown.total_trades),
            shown.verdict,
        )
        for shown in results
    ]
    print("\n".join(draw_table(TABLE_HEAD, rows, text_columns=2)))


def _print_curve(shown: Shown) -> None:
    width = min(WIDEST, shutil.get_terminal_size().columns - 1)
    print(f"\nEquity of {shown.strategy}, {shown.engine} ({shown.dates[0][:10]} to {shown.dates[-1][:10]}):")
    blocks = can_show_blocks(sys.stdout.encoding)
    print("\n".join(draw_curve(shown.equity, width=width, height=CURVE_HEIGHT, blocks=blocks)))


def _print_warnings(shown: Shown) -> None:
    """Print why a verdict is as it is, and the other warnings."""
    print(f"\nWhether to believe {shown.strategy}, {shown.engine}: {shown.verdict}")
    for warning in shown.warnings:
        print(f"- {warning}")
    print()


def _print_pages(address: str, shown: Shown) -> None:
    print(f"Tear sheet of {shown.strategy}, {shown.engine}: {address}/runs/{shown.id}")
    print(f"All runs: {address}/")
    print("Ctrl-C stops the service and removes its folder.", flush=True)


def _print_next_steps(settings: Settings) -> None:
    address = f"http://127.0.0.1:{settings.port}"
    print("Next:")
    print("  python run.py demo --serve    the same, then the tear sheets in your browser until Ctrl-C")
    print(f"  python run.py prod            then {address} (pages), {address}/docs (REST), {address}/graphql")
    print("  python run.py test            everything the service promises, tested")
    print("  python run.py                 all commands")


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # an ASCII terminal shows "?" for a letter it lacks, instead of a crash
    parser = argparse.ArgumentParser(prog="python run.py demo", description="Run backtests and show their results.")
    parser.add_argument("--serve", action="store_true", help="then keep the service for a browser until Ctrl-C")
    sys.exit(main(stays_up=parser.parse_args().serve))
