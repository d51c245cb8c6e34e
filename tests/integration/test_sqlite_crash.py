"""Check SQLite under real processes: killed while writing, several at once, and on a full disk."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from src.domain.trial_chain import find_fault
from src.domain.trial_states import EMPTY_LEDGER
from src.service.ledger_check import check_ledger
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.contracts.test_trial_ledgers import entry
from tests.equality import assert_identical
from tests.factories import make_result
from tests.trial_batches import make_batch

ROOT = Path(__file__).parents[2]
BARS = 20_000

SAVE_IN_A_LOOP = f"""
import asyncio, sys
from pathlib import Path
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from tests.factories import make_result

async def main(path, prefix, count):
    store = SqliteStore(SqliteDatabase(Path(path)))
    for number in range(int(count)):
        result_id = f"{{prefix}}-{{number}}"
        await store.save(make_result({BARS}, id=result_id))
        print(result_id, flush=True)
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""

FILL_THE_DISK = """
import asyncio, pickle, resource, sys
from pathlib import Path
from src.domain.errors import StoreUnavailable
from src.stores.model_files import DiskModelFiles
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from tests.factories import make_result

async def chunks():
    for _ in range(40):
        yield pickle.dumps(b"x" * 100_000)

async def main(folder):
    store = SqliteStore(SqliteDatabase(Path(folder) / "results.sqlite3"))
    await store.save(make_result(id="before"))
    # A file that may not grow fails to be written to just as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    try:
        await store.save(make_result(300_000, id="too-large"))
    except StoreUnavailable as error:
        print("refused:", error, type(error.__cause__).__name__)
    print(len((await store.list(user_id=None, symbol=None, first=9, after=None)).summaries))
    files = DiskModelFiles(Path(folder) / "files", max_bytes=10**9, max_models_per_user=9)
    try:
        await files.receive(user_id="a", original_filename="a.pkl", model_name=None, chunks=chunks())
    except StoreUnavailable as error:
        print("refused:", error, type(error.__cause__).__name__)
    print(sum(path.is_file() for path in (Path(folder) / "files").rglob("*")))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.save(make_result(300_000, id="after"))
    await store.close()

asyncio.run(main(sys.argv[1]))
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def read_back(path: Path, acknowledged: list[str]) -> int:
    """Check every acknowledged result, and every other visible one, to the bit; return how many there are."""
    store = SqliteStore(SqliteDatabase(path))
    visible: list[str] = []
    after = None
    for _ in range(100):
        page = await store.list(user_id=None, symbol=None, first=100, after=after)
        visible += [summary.id for summary in page.summaries]
        after = page.next_cursor
        if after is None:
            break
    assert set(acknowledged) <= set(visible)
    for result_id in visible:
        assert_identical(await store.get(result_id), make_result(BARS, id=result_id))
    await store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        parts = {row[0] for row in database.execute("SELECT DISTINCT result_id FROM result_parts")}
        assert parts == set(visible)  # no half result, visible or not
    database.close()
    return len(visible)


async def test_saved_results_survive_a_kill_while_writing(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite3"
    acknowledged: list[str] = []
    for turn in range(5):
        child = start(SAVE_IN_A_LOOP, path, f"turn{turn}", 1_000_000)
        assert child.stdout is not None
        assert child.stderr is not None
        for _ in range(4):
            acknowledged.append(child.stdout.readline().strip())
        # Another moment within a save each time: one takes some 20 ms.
        time.sleep(turn * 0.0043)
        child.send_signal(signal.SIGKILL)
        # A last line may have been cut by the kill: only a whole one is an acknowledgement.
        rest = child.stdout.read()
        acknowledged += rest[: rest.rfind("\n") + 1].split()
        assert child.wait() == -signal.SIGKILL, child.stderr.read()
        child.stdout.close()
        child.stderr.close()
        assert await read_back(path, acknowledged) - len(acknowledged) <= turn + 1
    assert len(acknowledged) >= 20
    assert "" not in acknowledged


async def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite3"
    children = [start(SAVE_IN_A_LOOP, path, name, 15) for name in ("left", "right")]
    outputs = await asyncio.gather(*(asyncio.to_thread(child.communicate, timeout=60) for child in children))
    for child, (_, errors) in zip(children, outputs, strict=True):
        assert child.returncode == 0, errors
    acknowledged = [result_id for output, _ in outputs for result_id in output.split()]
    assert len(acknowledged) == 30
    assert await read_back(path, acknowledged) == 30


async def test_full_disk_is_reported_and_leaves_nothing_partial(tmp_path: Path) -> None:
    child = start(FILL_THE_DISK, tmp_path)
    output, errors = await asyncio.to_thread(child.communicate, timeout=60)
    assert child.returncode == 0, errors
    database, seen, files, left = output.splitlines()
    assert database.startswith("refused: The result store cannot be used: the disk")
    assert database.endswith("OperationalError")
    assert seen == "1"
    assert files == "refused: The store of model files cannot be used: the disk is full. OSError"
    assert left == "0"
    store = SqliteStore(SqliteDatabase(tmp_path / "results.sqlite3"))
    assert_identical(await store.get("after"), make_result(300_000, id="after"))
    assert [summary.id for summary in await store.summaries(["before"])] == ["before"]
    await store.close()


COUNT_IN_A_LOOP = """
import asyncio, sys
from pathlib import Path
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.contracts.test_trial_ledgers import entry

async def main(path, first):
    ledger = SqliteTrialLedger(SqliteDatabase(Path(path)))
    for seed in range(int(first), int(first) + 100_000):
        await ledger.record(entry(seed), user_id="ann", symbol="BTCUSDT")
        print(seed, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_counted_trials_survive_a_kill_while_counting(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite3"
    first, expected = 0, EMPTY_LEDGER
    for turn in range(4):
        child = start(COUNT_IN_A_LOOP, path, first)
        assert child.stdout is not None
        assert child.stderr is not None
        for _ in range(3):
            child.stdout.readline()
        time.sleep(turn * 0.0013)
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        acknowledged = first + 3 + len(rest[: rest.rfind("\n") + 1].split())
        assert child.wait() == -signal.SIGKILL, child.stderr.read()
        child.stdout.close()
        child.stderr.close()
        database = SqliteDatabase(path)
        found = await SqliteTrialLedger(database).state(user_id="ann", symbol="BTCUSDT")
        links = await SqliteTrialLedger(database).links(user_id="ann", symbol="BTCUSDT", after=0, limit=100_000)
        await database.close()
        # The one that was being counted may be there, whole; the key and the sums agree.
        assert found.total.trials in (acknowledged, acknowledged + 1)
        for seed in range(first, found.total.trials):
            expected = expected.add(entry(seed))
        assert found == expected
        assert find_fault(links, found) is None
        first = found.total.trials


BATCH_RUNS = 40
COUNT_BATCHES_IN_A_LOOP = f"""
import asyncio, sys
from pathlib import Path
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.trial_batches import make_batch

async def main(path, first):
    ledger = SqliteTrialLedger(SqliteDatabase(Path(path)))
    for number in range(int(first), int(first) + 100_000):
        batch = make_batch(range({BATCH_RUNS} * number, {BATCH_RUNS} * (number + 1)))
        await ledger.record_batch(batch, user_id="ann", symbol="BTCUSDT")
        print(number, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


COUNT_OVER_A_LIMIT = """
import asyncio, sys
from pathlib import Path
from src.stores.ledger_limits import BoundedTrialLedger, LedgerQuota
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.contracts.test_trial_ledgers import entry

async def main(path, first):
    quota = LedgerQuota(max_bytes_per_user=30_000, max_bytes=60_000)
    ledger = BoundedTrialLedger(SqliteTrialLedger(SqliteDatabase(Path(path))), quota)
    for seed in range(int(first), int(first) + 100_000):
        user, symbol = f"user{seed % 5}", f"BTCUSDT (simulated (seed {seed % 200}))"
        await ledger.record(entry(seed), user_id=user, symbol=symbol)
        print(seed, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_shrinking_ledgers_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite3"
    first = 0
    for turn in range(4):
        child = start(COUNT_OVER_A_LIMIT, path, first)
        assert child.stdout is not None
        assert child.stderr is not None
        for _ in range(150):
            child.stdout.readline()
        time.sleep(turn * 0.0019)
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        acknowledged = first + 150 + len(rest[: rest.rfind("\n") + 1].split())
        assert child.wait() == -signal.SIGKILL, child.stderr.read()
        child.stdout.close()
        child.stderr.close()
        database = SqliteDatabase(path)
        ledger = SqliteTrialLedger(database)
        folded = await ledger.count_folded(user_id=None)
        runs, reduced, name = folded.runs, 0, await ledger.next_ledger(None, user_id=None)
        while name:
            found = await check_ledger(ledger, user_id=name[0], symbol=name[1])
            assert found.fault is None
            runs, reduced = runs + found.runs, reduced + found.reduced_runs
            name = await ledger.next_ledger(name, user_id=None)
        sizes = await ledger.measure(None)
        await database.close()
        # No acknowledged run is lost or counted twice, whether its ledger is full, reduced or folded.
        assert runs in (acknowledged, acknowledged + 1)
        assert folded.runs > 0
        assert reduced > 0
        assert sizes.full + sizes.reduced < 60_000 + 5_000  # and one run, if the process was stopped before it shrank
        first = runs


async def test_counted_batches_survive_a_kill_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite3"
    first, expected = 0, EMPTY_LEDGER
    for turn in range(4):
        child = start(COUNT_BATCHES_IN_A_LOOP, path, first)
        assert child.stdout is not None
        assert child.stderr is not None
        for _ in range(3):
            child.stdout.readline()
        time.sleep(turn * 0.0023)
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        acknowledged = first + 3 + len(rest[: rest.rfind("\n") + 1].split())
        assert child.wait() == -signal.SIGKILL, child.stderr.read()
        child.stdout.close()
        child.stderr.close()
        database = SqliteDatabase(path)
        found = await SqliteTrialLedger(database).state(user_id="ann", symbol="BTCUSDT")
        links = await SqliteTrialLedger(database).links(user_id="ann", symbol="BTCUSDT", after=0, limit=100_000)
        await database.close()
        # The batch that was being counted may be there, whole.
        assert found.runs in (BATCH_RUNS * acknowledged, BATCH_RUNS * (acknowledged + 1))
        for number in range(first, found.runs // BATCH_RUNS):
            expected, _ = expected.count_batch(make_batch(range(BATCH_RUNS * number, BATCH_RUNS * (number + 1))))
        assert found == expected
        assert find_fault(links, found) is None
        first = found.runs // BATCH_RUNS
