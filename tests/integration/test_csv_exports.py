"""Check files as other programs export them, sent to the running service (issue 9, item 9)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.market import read_klines

EXPORTS = ["cdd_no_first_line", "cryptodatadownload", "dmy_dots", "mt5", "stooq", "utf16_excel"]
FEBRUARY_3_MS = 1_770_076_800_000  # 2026-02-03
WHOLE_VOLUMES = {"mt5", "stooq", "utf16_excel"}


@pytest.mark.parametrize("name", EXPORTS)
def test_csv_export_of_another_program_is_read_exactly(service: str, shared_data: Path, name: str) -> None:
    file = shared_data.parent / "cases" / "csv_exports" / f"{name}.csv"
    if not file.exists():
        pytest.skip("no such export on this machine (../shared/cases)")
    form = {"user_id": "exporter", "symbol": "BTCUSDT", "name": name}
    sent = httpx.post(
        f"{service}/api/data/upload", data=form, files={"file": (file.name, file.read_bytes())}, timeout=60
    ).json()
    assert sent["success"], sent
    assert (sent["data"]["interval"], sent["data"]["bars"]) == ("1d", 200)
    real = read_klines(shared_data / "BTCUSDT-1d.csv.gz", interval="1d")
    first = int(np.searchsorted(real.open_time_ms, FEBRUARY_3_MS))
    expected = real.slice(first, first + 200)
    if name in WHOLE_VOLUMES:
        expected = replace(expected, volume=np.floor(expected.volume))
    assert sent["data"]["data_fingerprint"] == expected.fingerprint()
