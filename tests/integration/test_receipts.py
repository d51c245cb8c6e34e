"""Receipts from outside: fetched from a running service, and checked by a process that knows only the key set."""

from __future__ import annotations

import base64
import copy
import json
import random
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.runtime.backup import back_up, restore
from src.settings import Settings
from src.stores.signing_key import KEY_FILE, KEYS_FOLDER, FileSigner
from tests.server import RunningService
from tools.verify_receipt import KEYS_PATH, Refused, verify

ROOT = Path(__file__).parents[2]
VERIFIER = ROOT / "tools" / "verify_receipt.py"
BACKTEST = {
    "user_id": "me", "symbol": "BTCUSDT", "source": "simulated", "interval": "1d", "limit": 400,
    "start_date": "2020-01-01",
}  # fmt: skip


def settings_of(storage: Path) -> Settings:
    return Settings(_env_file=None, storage_dir=storage)


def run_verifier(*words: object) -> subprocess.CompletedProcess[str]:
    # Isolated (-I): neither this folder nor PYTHONPATH leads to src.
    return subprocess.run(
        [sys.executable, "-I", str(VERIFIER), *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )


class Receipts:
    """A service's address and storage, and a receipt with the key set that it answered."""

    def __init__(self, url: str, storage: Path) -> None:
        self.url, self.storage = url, storage
        made = httpx.post(f"{url}/api/backtests", json=BACKTEST, timeout=120)
        assert made.status_code == 200, made.text
        self.result = made.json()["data"]
        answer = httpx.get(f"{url}/api/backtests/{self.result['id']}/receipt", timeout=60)
        assert answer.status_code == 200, answer.text
        self.receipt = answer.content
        self.keys = httpx.get(f"{url}{KEYS_PATH}", timeout=60).content


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receipts]:
    storage = tmp_path_factory.mktemp("receipts") / "storage"
    with RunningService(settings_of(storage)) as service:
        yield Receipts(service.url, storage)


def test_verifier_says_what_a_receipt_holds(served: Receipts, tmp_path: Path) -> None:
    receipt, keys = tmp_path / "receipt.json", tmp_path / "keys.json"
    receipt.write_bytes(served.receipt)
    keys.write_bytes(served.keys)
    for words in (("--keys", keys), ("--url", served.url)):
        checked = run_verifier(receipt, *words)
        assert checked.returncode == 0, checked.stderr
        for told in (served.result["id"], served.result["data_fingerprint"], "not say that the market will do it"):
            assert told in checked.stdout
    receipt.write_bytes(served.receipt.replace(b'"BTCUSDT"', b'"ETHUSDT"', 1))
    refused = run_verifier(receipt, "--keys", keys)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "REFUSED" in refused.stderr


def test_receipt_holds_what_the_result_shows(served: Receipts) -> None:
    payload = verify(served.receipt, served.keys)
    shown = served.result
    for name in ("id", "created_at", "metrics", "judgement", "warnings"):
        assert payload[name] == shown[name], name
    assert payload["request"] == {
        name: shown[name] for name in ("user_id", "symbol", "interval", "engine", "settings")
    } | {"strategy": shown["strategy"] | {"parameters": None}}
    assert payload["fingerprints"]["data_fingerprint"] == shown["data_fingerprint"]
    assert payload["fingerprints"]["versions"] == shown["versions"]
    assert len(payload["ledger"]["head_after"]) == 64
    assert payload["ledger"]["head_before"] != payload["ledger"]["head_after"]


def test_any_changed_byte_is_refused(served: Receipts) -> None:
    chosen = random.Random(8)
    for place in chosen.sample(range(len(served.receipt)), 400):
        changed = bytearray(served.receipt)
        changed[place] ^= chosen.choice([1, 2, 4, 8, 16, 128])
        with pytest.raises(Refused):
            verify(bytes(changed), served.keys)


def test_structural_changes_are_refused(served: Receipts) -> None:
    document = json.loads(served.receipt)

    def edited(change: Any) -> bytes:
        other = copy.deepcopy(document)
        change(other)
        return json.dumps(other).encode()

    changes = [
        lambda it: it.update(more=1),
        lambda it: it.pop("key_id"),
        lambda it: it["payload"].update(more=None),
        lambda it: it["payload"].pop("judgement"),
        lambda it: it["payload"]["metrics"].update(total_return=0.5),
        lambda it: it["payload"]["warnings"].append("more"),
        lambda it: it["payload"]["ledger"].update(head_after="0" * 64),
        lambda it: it.update(key_id="another"),
        lambda it: it.update(key_id=None),
        lambda it: it.update(algorithm="none"),
        lambda it: it.update(signature=it["signature"] + "=="),
        lambda it: it.update(signature=base64.urlsafe_b64encode(bytes(64)).decode().rstrip("=")),
        lambda it: it.update(signature=7),
        lambda it: it.update(payload=[it["payload"]]),
    ]
    for number, change in enumerate(changes):
        with pytest.raises(Refused):
            verify(edited(change), served.keys)
            pytest.fail(f"change {number} was accepted")
    for old, new in (
        (b'"format":1', b'"format":1,"format":1'),
        (b'"format":1', b'"format":1.00000000000000000001'),
        (b'"format":1', b'"format":NaN'),
        (b'"format":1', b'"format":true'),
        (b'{"algorithm"', b'\xef\xbb\xbf{"algorithm"'),
    ):
        assert old in served.receipt
        with pytest.raises(Refused):
            verify(served.receipt.replace(old, new, 1), served.keys)
    with pytest.raises(Refused):
        verify(b"[" * 100_000, served.keys)


def test_same_meaning_in_other_bytes_is_accepted(served: Receipts) -> None:
    document = json.loads(served.receipt)
    spaced = json.dumps(dict(reversed(document.items())), indent=2, ensure_ascii=True)
    assert verify(spaced.encode(), served.keys) == document["payload"]
    assert verify(served.receipt.replace(b'"format":1,', b'"format":1.0,', 1), served.keys) == document["payload"]


def test_another_service_has_another_key(served: Receipts, tmp_path: Path) -> None:
    other = FileSigner(tmp_path / "keys")
    other.open()
    with pytest.raises(Refused, match="no key"):
        verify(served.receipt, json.dumps({"keys": other.public_keys}).encode())
    # A key set that gives its own key the other's id.
    forged = {"keys": [dict(other.public_keys[0]) | {"kid": json.loads(served.receipt)["key_id"]}]}
    with pytest.raises(Refused, match="does not fit its id"):
        verify(served.receipt, json.dumps(forged).encode())


def test_numbers_beyond_doubles_are_signed_as_text(served: Receipts) -> None:
    made = httpx.post(f"{served.url}/api/backtests", json=BACKTEST | {"seed": 2**62 + 1}, timeout=120).json()["data"]
    answer = httpx.get(f"{served.url}/api/backtests/{made['id']}/receipt", timeout=60)
    assert answer.status_code == 200, answer.text
    assert verify(answer.content, served.keys)["request"]["settings"]["seed"] == str(2**62 + 1)


def test_unknown_result_has_no_receipt(served: Receipts) -> None:
    answer = httpx.get(f"{served.url}/api/backtests/no-such-result/receipt")
    assert (answer.status_code, answer.json()["code"]) == (404, "RESULT_NOT_FOUND")


def test_another_start_signs_alike(served: Receipts) -> None:
    path = f"/api/backtests/{served.result['id']}/receipt"
    with RunningService(settings_of(served.storage)) as service:
        assert httpx.get(f"{service.url}{KEYS_PATH}").content == served.keys
        assert httpx.get(f"{service.url}{path}").content == served.receipt


def test_restored_key_verifies_and_is_private(served: Receipts, tmp_path: Path) -> None:
    back_up(settings_of(served.storage), tmp_path / "backup")
    restored = settings_of(tmp_path / "elsewhere")
    restore(restored, tmp_path / "backup", replace=False)
    folder = restored.storage_dir / KEYS_FOLDER
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    signer = FileSigner(folder)
    signer.open()
    assert verify(served.receipt, json.dumps({"keys": signer.public_keys}).encode())["id"] == served.result["id"]


def test_damaged_key_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / KEYS_FOLDER / KEY_FILE
    path.parent.mkdir()
    path.write_text("damaged")
    started = subprocess.run(
        [sys.executable, "-m", "src.serve"], check=False, cwd=ROOT,
        env={"STORAGE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert started.returncode == 2
    assert str(path) in started.stderr
    assert "Traceback" not in started.stderr
