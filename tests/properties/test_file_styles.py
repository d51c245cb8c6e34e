"""Check that bars in the styles of other programs are read back exactly or refused, never misread."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from src.bars.simulated import simulate_bars
from src.datasets.reading.table import BarFileRejected
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from tests.bar_files import read_here
from tests.thoroughness import examples

_DAY_MS: Final = 86_400_000
_PRICES: Final = ("open", "high", "low", "close", "volume")

DATES: Final[dict[str, str]] = {
    "iso": "%Y-%m-%d", "dots": "%Y.%m.%d", "slashes": "%Y/%m/%d", "compact": "%Y%m%d",
    "dmy dots": "%d.%m.%Y", "dmy slashes": "%d/%m/%Y", "dmy dashes": "%d-%m-%Y", "mdy slashes": "%m/%d/%Y",
}  # fmt: skip
CLOCKS: Final[dict[str, str]] = {
    "none": "", "minutes": "%H:%M", "seconds": "%H:%M:%S", "compact": "%H%M%S", "12 hours": "%I:%M:%S %p",
}  # fmt: skip


def write_point(number: float) -> str:
    return np.format_float_positional(number, trim="-")


def write_comma(number: float) -> str:
    return write_point(number).replace(".", ",")


def write_continental(number: float) -> str:
    """Write 1.234.567,5: points between thousands, and a decimal comma."""
    whole, _, rest = write_point(number).partition(".")
    grouped = f"{int(whole):,}".replace(",", ".")
    return f"{grouped},{rest}" if rest else grouped


def write_american(number: float) -> str:
    whole, _, rest = write_point(number).partition(".")
    return f"{int(whole):,}" + (f".{rest}" if rest else "")


NUMBERS: Final[dict[str, Callable[[float], str]]] = {
    "point": write_point, "comma": write_comma, "continental": write_continental, "american": write_american,
}  # fmt: skip


def write_file(
    bars: Bars, *, date: str, clock: str, number: str, delimiter: str, is_split: bool, has_unix: bool, decimals: int
) -> tuple[str, Bars]:
    """Return the text, and its bars, rounded to what is written."""
    rounded = {name: np.round(getattr(bars, name), decimals) for name in _PRICES}
    is_split = is_split and bool(CLOCKS[clock])
    header = [*["Unix"] * has_unix, "Date", *["Time"] * is_split, "Open", "High", "Low", "Close", "Volume"]
    lines = [delimiter.join(header)]
    for row, time_ms in enumerate(bars.open_time_ms.tolist()):
        moment = datetime.fromtimestamp(time_ms / 1000, tz=UTC)
        day, time = moment.strftime(DATES[date]), moment.strftime(CLOCKS[clock])
        when = [day, time] if is_split else [f"{day} {time}".strip()]
        cells = [*[str(time_ms)] * has_unix, *when, *(NUMBERS[number](rounded[name][row]) for name in _PRICES)]
        lines.append(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in cells))
    said = Bars(symbol=bars.symbol, interval=bars.interval, open_time_ms=bars.open_time_ms, **rounded)
    return "\n".join(lines) + "\n", said


@st.composite
def files(draw: st.DrawFn) -> tuple[str, Bars, str, str]:
    interval = INTERVALS[draw(st.sampled_from(["15m", "1h", "1d", "1w"]))]
    is_intraday = interval.milliseconds < _DAY_MS
    clock = draw(st.sampled_from([name for name in CLOCKS if name != "none" or not is_intraday]))
    start_ms = draw(st.integers(7_700, 19_000)) * _DAY_MS  # times before 1990 need a declared unit
    bars = simulate_bars(draw(st.sampled_from(["BTCUSDT", "ADAUSDT"])), interval, start_ms, draw(st.integers(1, 60)), 3)
    date, number = draw(st.sampled_from(sorted(DATES))), draw(st.sampled_from(sorted(NUMBERS)))
    # Between comma-separated columns whole numbers such as 1.234 are never written for 1,234.
    text, said = write_file(
        bars,
        date=date,
        clock=clock,
        number=number,
        delimiter=draw(st.sampled_from([";", "\t", *([","] if number != "continental" else [])])),
        is_split=draw(st.booleans()),
        has_unix=draw(st.booleans()),
        decimals=draw(st.integers(0, 4)),
    )
    return text, said, date, number


def assert_same_or_none(text: str, said: Bars, **declared: str) -> bool:
    """Assert that what is read is what was written, except cells that are no numbers; return whether all was read."""
    try:
        table = read_here(text, **declared)
    except BarFileRejected:
        return False
    assert table.columns["time"].tolist() == said.open_time_ms.tolist()
    for name in _PRICES:
        read, written = table.columns[name], getattr(said, name)
        # NaN rows are left out and counted, and a file with many of them is refused.
        assert ((read == written) | np.isnan(read)).all()
    return not table.findings.unreadable_cells


@settings(max_examples=examples(400), deadline=None)
@given(files(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_no_style_is_ever_misread(file: tuple[str, Bars, str, str], encoding: str) -> None:
    text, said, date, number = file
    is_read = assert_same_or_none(text.encode(encoding).decode(encoding) if encoding == "utf-8" else text, said)
    assert read_same(text, encoding) == read_same(text, "utf-8")
    moments = said.open_time_ms.astype("datetime64[ms]").astype("datetime64[D]")
    days = (moments - moments.astype("datetime64[M]")).astype(int) + 1
    is_order_shown = date[:3] not in ("dmy", "mdy") or bool((days > 12).any())
    declared = {"dmy": "DMY", "mdy": "MDY"}.get(date[:3], "YMD")
    mark = {"point": ".", "american": "."}.get(number, ",")
    assert assert_same_or_none(text, said, date_format=declared, decimal=mark)
    assert assert_same_or_none(text, said, decimal=mark) == is_order_shown
    if is_read:
        assert is_order_shown
    for wrong in {"YMD", "DMY", "MDY"} - {declared}:
        if not is_order_shown and declared != "YMD" and wrong != "YMD" and "Unix" not in text:
            continue  # a declaration is believed if nothing contradicts it
        assert_same_or_none(text, said, date_format=wrong)


def read_same(text: str, encoding: str) -> object:
    try:
        table = read_here(text.encode(encoding))
    except BarFileRejected as rejection:
        return rejection.message
    return {name: column.tobytes() for name, column in table.columns.items()}
