"""Check hostile files of bars: refused within bounds, in a child that has nothing to give away."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.datasets.reading.reader import BarFileReader
from src.domain.datasets import BarFileDeclaration
from src.domain.errors import InvalidInput, ServiceError, TimedOut, TooLarge, UnsupportedFormat
from tests.bar_files import HEADER, csv_of, days, gzipped

MIB = 1024 * 1024
DECLARED = BarFileDeclaration(symbol="BTCUSDT")
ROW = "2021-01-01,1,1,1,1,1\n"


async def read(content: bytes | str, **overrides: Any) -> Any:
    given = {"max_rows": 10_000, "timeout_s": 30.0} | overrides
    with tempfile.TemporaryFile() as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        return await BarFileReader(**given).read(file, DECLARED, user_id="someone")


def candles_parquet(rows: int, **options: Any) -> bytes:
    times = 1_600_000_000_000 + 60_000 * np.arange(rows, dtype=np.int64)
    table = pa.table({"time": times} | dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(rows)))
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def bomb(piece: bytes, mebibytes: int) -> bytes:
    """Return a small file that unpacks to that much; of many members, so that only one has to be compressed."""
    return gzip.compress(piece * (MIB // len(piece))) * mebibytes


async def test_honest_file_is_read() -> None:
    rows = await read(csv_of(days(5)))
    assert rows.columns["open"].tolist() == [10, 11, 12, 13, 14]
    rows = await read(candles_parquet(5))
    assert len(rows.columns["open"]) == 5


REFUSED: list[tuple[bytes | str, type[ServiceError], str]] = [
        (bomb(b"\0", 512), InvalidInput, "NUL byte"),
        (bomb(b"1", 512), InvalidInput, "too long. Maximum: 4096"),
        (HEADER.encode() + b"\n" + b"1" * 10_000, InvalidInput, "too long. Maximum: 4096"),
        (gzipped(gzipped(b"\n" * MIB)), InvalidInput, ""),
        (bomb(b"\n", 64), TooLarge, "too many lines. Maximum: 21,000."),
        (gzipped(HEADER.encode() + b"\n" + ROW.encode() + b"\n" * MIB), TooLarge, "too many lines. Maximum: 21,000."),
        (bomb(b" " * 4000 + b"\n", 16), TooLarge, "too large when unpacked"),
        (bomb(ROW.encode(), 64), InvalidInput, "header"),
        (gzipped(HEADER + "\n" + ROW * 200_000), TooLarge, "too many rows. Maximum: 10,000."),
        (HEADER + "\n" + ROW * 10_001, TooLarge, "too many rows. Maximum: 10,000."),
        (candles_parquet(10_001), TooLarge, "10,001 rows. Maximum: 10,000."),
        (",".join(["a"] * 1000) + "\n", InvalidInput, "1000 columns"),
        ('"' + "a" * 3000 + "\n" + "b" * 3000, InvalidInput, "not CSV"),
        (HEADER + '\n"2021-01-01' + "\n" * 9000, InvalidInput, "not CSV"),
        (HEADER + "\n2021-01-01,1,1\0,1,1,1\n", InvalidInput, "Line 2 has a NUL byte"),
        (HEADER.encode() + b"\n2021-01-01,1,1,1,1,\xff\xfe\n", InvalidInput, "Line 2 is not UTF-8"),
        (csv_of(days(3)).encode("utf-16")[:-1], InvalidInput, "is not UTF-16"),
        (gzipped(b"\xff\xfe" + b"1\0" * MIB), InvalidInput, "too long. Maximum: 4096"),
        (gzipped(b"\xff\xfe" + b"\n\0" * MIB), TooLarge, "too many lines. Maximum: 21,000."),
        (csv_of(days(3)).encode("utf-16-le"), InvalidInput, "NUL byte"),
        (gzipped(b"\xff\xfe\x00\xd8" + csv_of(days(3)).encode("utf-16-le")), InvalidInput, "Line 1 is not UTF-16"),
        (f"Date,Time,Open,High,Low,Close,Volume\n{'1' * 2000},{'1' * 2000},1,1,1,1,1\n", InvalidInput, "Line 2"),
        ("Date,Symbol,Open,High,Low,Close,Volume\n" + "".join(f"2021-01-01,{n},1,1,1,1,1\n" for n in range(9000)),
         InvalidInput, "several symbols"),
        (gzipped(csv_of(days(300)))[:-20], InvalidInput, "damaged"),
        (b"\x1f\x8bnonsense", InvalidInput, "damaged"),
        (b"PK\x03\x04" + b"\0" * 100, UnsupportedFormat, "zip or spreadsheet"),
        (b"PAR1" + b"\xff" * 1000 + b"PAR1", InvalidInput, "Parquet file cannot be read"),
        (b"PAR1", InvalidInput, "Parquet file cannot be read"),
        (candles_parquet(100)[:-30], InvalidInput, "Parquet file cannot be read"),
        (HEADER + "\n=cmd|'/C calc'!A0,1,1,1,1,1\n", InvalidInput, "Line 2: Date is"),
        ("<html><body>502</body></html>", InvalidInput, "names no column for the time"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "kind", "words"), REFUSED, ids=[words or "gzip in gzip" for *_, words in REFUSED])
async def test_hostile_file_gets_a_short_refusal(content: bytes | str, kind: type[ServiceError], words: str) -> None:
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        await read(content)
    assert words in caught.value.message
    assert len(caught.value.message) < 600
    assert caught.value.message.isprintable()
    assert time.monotonic() - began < 15


async def test_formula_in_a_cell_is_plain_text() -> None:
    rows = days(5)
    rows[2][4] = '=HYPERLINK("http://evil")'
    found = await read(csv_of(rows).replace('=HYPERLINK("http://evil")', '"=HYPERLINK(""http://evil"")"'))
    assert found.unreadable == ("""line 4: Close is '=HYPERLINK("http://evil")'""",)
    assert np.isnan(found.columns["close"][2])


async def test_parquet_file_that_unpacks_to_much_is_refused() -> None:
    rows = 50_000
    text = pa.array(["x" * 4000] * rows)
    table = pa.table({"time": np.arange(rows)} | dict.fromkeys(("open", "high", "low", "close", "volume"), text))
    file = io.BytesIO()
    pq.write_table(table, file, use_dictionary=False, compression="zstd")
    assert len(file.getvalue()) < 20 * MIB
    with pytest.raises(TooLarge, match="columns of the file unpack to"):
        await read(file.getvalue(), max_rows=rows)


async def test_parquet_file_of_repeated_values_meets_memory_bound() -> None:
    rows = 300_000
    text = pa.array(["x" * 4000]).take(pa.array(np.zeros(rows, dtype=np.int64)))
    table = pa.table({"time": np.arange(rows)} | dict.fromkeys(("open", "high", "low", "close", "volume"), text))
    file = io.BytesIO()
    pq.write_table(table, file)  # a dictionary of one value
    assert len(file.getvalue()) < 4 * MIB
    with pytest.raises(ServiceError):
        await read(file.getvalue(), max_rows=rows, memory_bytes=1024 * MIB)


async def test_altered_parquet_files_stay_in_the_child() -> None:
    dice, content = random.Random(7), candles_parquet(500)
    for _ in range(12):
        altered = bytearray(content)
        for _ in range(20):
            altered[dice.randrange(4, len(altered) - 4)] = dice.randrange(256)
        try:
            rows = await read(bytes(altered))
        except ServiceError as error:
            assert error.message.isprintable()
        else:
            assert len(rows.columns["time"]) <= 10_000


async def test_slow_file_is_refused_and_its_reader_killed() -> None:
    before = children()
    with pytest.raises(TimedOut, match=r"longer than 0\.05 s"):
        await read(gzipped(HEADER + "\n" + ROW * 500_000), max_rows=1_000_000, timeout_s=0.05)
    assert children() == before


async def test_request_that_goes_away_takes_its_reader_along() -> None:
    before = children()
    reading = asyncio.create_task(read(gzipped(HEADER + "\n" + ROW * 2_000_000), max_rows=3_000_000))
    while children() == before:
        await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    deadline = time.monotonic() + 5
    while children() != before and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert children() == before


async def test_reader_knows_nothing_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://secret")
    reading = asyncio.create_task(read(gzipped(HEADER + "\n" + ROW * 500_000), max_rows=1_000_000))
    environments: list[bytes] = []
    while not reading.done():
        for child in children():
            try:
                # Until it runs its own program, a child shows what it was forked from.
                command = Path(f"/proc/{child}/cmdline").read_bytes()
                if b"datasets.reading.worker" in command:
                    assert b"\0-B\0" in command, "a child with a limit on written bytes must write no byte code"
                    environments.append(Path(f"/proc/{child}/environ").read_bytes())
            except OSError:
                continue
        await asyncio.sleep(0.02)
    await reading
    told = {variable for environment in environments for variable in environment.split(b"\0") if variable}
    assert told
    assert not any(variable.startswith((b"MONGODB_URI", b"HOME", b"PATH")) for variable in told)


def children() -> set[int]:
    """Return the living child processes of this one."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == os.getpid() and state != "Z":
                found.add(int(folder.name))
    return found
