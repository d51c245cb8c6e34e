"""The runner: predictions, errors, deadlines, cancelling, fairness, and nothing left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from src.domain.errors import (
    Busy,
    Conflict,
    InvalidInput,
    MissingLibrary,
    ModelNotFound,
    ModelRejected,
    SandboxUnavailable,
    ServiceError,
    TimedOut,
    UnsupportedFormat,
)
from src.domain.sandbox_mode import SandboxMode
from src.domain.signals import OutputKind
from src.model_formats.sentences import sentence
from src.model_formats.undeclared import by_columns
from src.sandbox.layers import ALL_LAYERS, Layer
from src.sandbox.runner import SandboxedModelRunner
from tests.security.crafted import zip_of
from tests.security.hostile import PLAIN_FORMATS, features, model_file, pickle_of
from tests.security.plain_formats import LinearModel

pytestmark = pytest.mark.asyncio(loop_scope="module")
COLUMNS = ["column_0", "column_1"]
DEADLINE_S = 2.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner() -> AsyncIterator[SandboxedModelRunner]:
    opened = SandboxedModelRunner(registry=PLAIN_FORMATS, max_children=2, deadline_s=DEADLINE_S, memory_bytes=1 << 30)
    yield opened
    await opened.close()


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    path = tmp_path / "honest.pkl"
    path.write_bytes(pickle.dumps(LinearModel((2.0, -1.0), ("column_0", "column_1"))))
    return path


def hostile(folder: Path, source: str) -> Path:
    path = folder / "hostile.pkl"
    path.write_bytes(pickle_of(source))
    return path


async def test_all_layers_hold_on_this_machine(runner: SandboxedModelRunner) -> None:
    report = await runner.probe()
    assert report.refusal is None
    assert report.breaches == ()
    assert report.layers >= ALL_LAYERS - ({Layer.UID} if os.geteuid() else set())
    assert runner.report is report


async def test_inspection_describes_model(runner: SandboxedModelRunner, honest: Path) -> None:
    description = await runner.inspect(model_file(honest))
    assert description.n_features == 2
    assert description.feature_names == ("column_0", "column_1")
    assert description.output_kind is OutputKind.VALUE


async def test_predictions_equal_those_of_model(runner: SandboxedModelRunner, honest: Path) -> None:
    table = features(rows=500, columns=3, missing=19)
    predictions = await runner.predict(model_file(honest), table, None, None)
    assert predictions.kind is OutputKind.VALUE
    assert np.isnan(predictions.values[:19]).all()
    np.testing.assert_array_equal(predictions.values[19:], table.values[19:, :2] @ np.array([2.0, -1.0]))


async def test_missing_unread_column_does_not_exclude_row(runner: SandboxedModelRunner, honest: Path) -> None:
    table = features(rows=30, columns=3)
    values = table.values.copy()
    values[11, 1] = np.nan
    values[:, 2] = np.nan
    holed = type(table)(names=table.names, values=values)
    predictions = await runner.predict(model_file(honest), holed, None, None)
    assert predictions.feature_columns == ("column_0", "column_1")
    asked = np.arange(30) != 11
    np.testing.assert_array_equal(np.isnan(predictions.values), ~asked)
    np.testing.assert_array_equal(predictions.values[asked], values[asked, :2] @ np.array([2.0, -1.0]))


async def test_rows_without_columns_are_not_predicted(runner: SandboxedModelRunner, honest: Path) -> None:
    predictions = await runner.predict(model_file(honest), features(rows=5, missing=5), None, None)
    assert np.isnan(predictions.values).all()
    assert predictions.kind is OutputKind.VALUE


async def test_no_rows_give_no_predictions(runner: SandboxedModelRunner, honest: Path) -> None:
    assert (await runner.predict(model_file(honest), features(rows=0), None, None)).values.shape == (0,)


async def test_request_chooses_columns(runner: SandboxedModelRunner, honest: Path, tmp_path: Path) -> None:
    unnamed = tmp_path / "unnamed.pkl"
    unnamed.write_bytes(pickle.dumps(LinearModel((2.0, -1.0))))
    table = features()
    predictions = await runner.predict(model_file(unnamed), table, ["column_1", "column_0"], None)
    np.testing.assert_array_equal(predictions.values, table.values[:, ::-1] @ np.array([2.0, -1.0]))


@pytest.mark.parametrize("columns", [["column_0"], ["column_0", "nonsense"]])
async def test_wrong_columns_are_rejected_by_name(
    runner: SandboxedModelRunner, honest: Path, columns: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await runner.predict(model_file(honest), features(), columns, None)
    assert caught.value.field == "featureColumns"


async def test_predictions_outside_declared_kind_are_rejected(runner: SandboxedModelRunner, honest: Path) -> None:
    with pytest.raises(ModelRejected, match="from 0 to 1"):
        await runner.predict(model_file(honest), features(), None, OutputKind.PROBABILITY)


FORGED = """
import json, mmap, struct
memory = mmap.mmap(5, 0)
text = json.dumps({"missing": {"landlock": "forged"}}).encode()
memory[64 : 64 + len(text)] = text
memory[:24] = struct.pack("<8sIIQ", b"BTans\\0\\0\\1", 6, len(text), 0)
os._exit(0)
"""


async def test_false_report_of_failed_layers_is_rejected(
    runner: SandboxedModelRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelRejected, match="a reply that no model gives"):
        await runner.inspect(model_file(hostile(tmp_path, FORGED)))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_lost_layer_stops_opening_of_models(honest: Path, caplog: pytest.LogCaptureFixture) -> None:
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS)
    try:
        report = await runner.probe()
        assert report.refusal is None
        # From now on the kernel refuses a layer: no process may have so many descriptors.
        runner._children.limits = replace(runner._children.limits, descriptors=1 << 31)
        with pytest.raises(SandboxUnavailable, match="a layer of the sandbox failed"):
            await runner.inspect(model_file(honest))
        assert "sandbox layers failed" in caplog.text
        with pytest.raises(SandboxUnavailable, match="limits"):
            await runner.inspect(model_file(honest))
    finally:
        await runner.close()


async def test_oversized_description_is_rejected_with_advice(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    names = tuple(f"a_feature_name_{number}" for number in range(6000))
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(LinearModel((1.0,) * 6000, names)))
    with pytest.raises(ModelRejected, match=r"takes 1\d{5} bytes.*Train the model on fewer columns"):
        await runner.inspect(model_file(tmp_path / "m.pkl"))


async def test_declared_kind_suppresses_its_warning(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    model = LinearModel((2.0, -1.0))
    another = sentence("warned", said="another")
    model.warnings = (by_columns(1), another)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    file = model_file(tmp_path / "m.pkl")
    assert (await runner.predict(file, features(), COLUMNS, None)).warnings == (by_columns(1), another)
    assert (await runner.predict(file, features(), COLUMNS, OutputKind.VALUE)).warnings == (another,)


async def test_many_rows_are_predicted(runner: SandboxedModelRunner, honest: Path) -> None:
    table = features(rows=300_000)
    predictions = await runner.predict(model_file(honest), table, None, None)
    np.testing.assert_array_equal(predictions.values, table.values @ np.array([2.0, -1.0]))


async def test_each_failure_gives_its_error_class(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    cases: list[tuple[str, bytes, type[ServiceError]]] = [
        ("notamodel.pkl", pickle.dumps([1, 2]), ModelRejected),
        ("garbage.pkl", b"garbage", ModelRejected),
        ("empty.pkl", b"", ModelRejected),
        ("library.absent", b"x", MissingLibrary),
        ("unknown.exe", b"x", UnsupportedFormat),
    ]
    for name, content, kind in cases:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(kind):
            await runner.inspect(model_file(path))
    with pytest.raises(ModelNotFound):
        await runner.inspect(model_file(tmp_path / "gone.pkl"))


@pytest.mark.parametrize("name", ["model.pkl", "model.zip", "model.h5"])
async def test_file_changed_on_disk_is_not_opened(runner: SandboxedModelRunner, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = pickle.dumps(LinearModel((2.0, -1.0)))
    path.write_bytes(zip_of({"model.pkl": content, "note": b"x"}) if name.endswith("zip") else content)
    file = model_file(path)
    assert (await runner.inspect(file)).n_features == 2
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(Conflict, match="was changed since"):
        await runner.inspect(file)
    with pytest.raises(Conflict, match="upload it again"):
        await runner.predict(file, features(), COLUMNS, None)


async def test_archive_is_unpacked_in_a_child_and_removed(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(zip_of({"model.pkl": pickle.dumps(LinearModel((1.0, 1.0))), "note": b"x"}))
    table = features()
    predictions = await runner.predict(model_file(path), table, COLUMNS, None)
    np.testing.assert_array_equal(predictions.values, table.values @ np.array([1.0, 1.0]))
    staged = runner._children.staging.link(".zip").parent
    assert not [entry for entry in staged.iterdir() if not entry.is_symlink()]


async def test_unpacking_stays_in_its_folder(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    path, target = tmp_path / "model.zip", tmp_path / "elsewhere"
    path.write_bytes(zip_of({"model.pkl": b"", "note": b"", "elsewhere": str(target).encode()}))
    with pytest.raises(ModelRejected, match="Permission denied"):
        await runner.inspect(model_file(path))
    assert not target.exists()


async def test_error_texts_are_cleaned(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    source = "raise ValueError('\\x1b[2J\\u202e see /srv/secret/place/file.txt ' + 'x' * 100_000)"
    with pytest.raises(ModelRejected) as caught:
        await runner.inspect(model_file(hostile(tmp_path, source)))
    assert "\x1b" not in caught.value.message
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 1000


async def test_model_beyond_deadline_is_killed(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    with pytest.raises(TimedOut):
        await runner.inspect(model_file(hostile(tmp_path, "while True: pass")))
    await until(lambda: not children_of(runner))


async def test_sixteen_calls_run_two_at_a_time(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    slow = hostile(tmp_path, "import time; time.sleep(0.1)")
    await runner.probe()
    order: list[int] = []
    most = 0

    async def ask(number: int) -> None:
        with pytest.raises(ModelRejected):
            await runner.inspect(model_file(slow))
        order.append(number)

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(children_of(runner)))
            await asyncio.sleep(0.01)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(ask(number) for number in range(16)))
    watcher.cancel()
    assert most == 2
    # First come, first served: two run at a time, so nobody overtakes by more than one place.
    assert all(abs(place - number) <= 1 for place, number in enumerate(order))


async def test_queue_alternates_between_users(runner: SandboxedModelRunner, honest: Path, tmp_path: Path) -> None:
    slow = replace(model_file(hostile(tmp_path, "import time; time.sleep(0.5)")), user_id="busy")
    greedy = [asyncio.create_task(runner.inspect(slow)) for _ in range(10)]
    await asyncio.sleep(0.1)
    assert (await runner.inspect(model_file(honest))).n_features == 2
    assert sum(task.done() for task in greedy) <= 2
    for task in greedy:
        task.cancel()
    await asyncio.wait(greedy)


async def test_full_queue_and_long_wait_reject_calls(tmp_path: Path) -> None:
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS, max_children=1, max_waiting=2, max_wait_s=0.3)
    slow = model_file(hostile(tmp_path, "import time; time.sleep(60)"))
    calls = [asyncio.create_task(runner.inspect(slow)) for _ in range(4)]
    outcomes = await asyncio.gather(*calls[1:], return_exceptions=True)
    assert all(isinstance(outcome, Busy) for outcome in outcomes), outcomes
    assert sorted("queued for 0.3 s" in str(outcome) for outcome in outcomes) == [False, True, True]
    assert not calls[0].done()
    await runner.close()
    with pytest.raises(SandboxUnavailable):
        await calls[0]


async def test_cancelled_call_ends_its_child(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    call = asyncio.create_task(runner.inspect(model_file(hostile(tmp_path, "import time; time.sleep(60)"))))
    await until(lambda: len(children_of(runner)) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not children_of(runner))


async def test_hundred_calls_leave_no_processes_or_descriptors(runner: SandboxedModelRunner, honest: Path) -> None:
    table = features(rows=1000)
    for _ in range(10):
        await runner.predict(model_file(honest), table, COLUMNS, None)
    before, memory_before = descriptors(), resident_mib()
    for _ in range(100):
        await runner.predict(model_file(honest), table, COLUMNS, None)
    assert descriptors() == before
    assert resident_mib() - memory_before < 8
    assert children_of(runner) == []
    if os.geteuid() == 0:
        held = Path(f"/proc/{runner._children.start('plain').pid}/fd")
        # Null input, output and errors, and the channel; it closes a child's pipe a moment after telling of its end.
        await until(lambda: len(list(held.iterdir())) == 4)


@pytest.mark.parametrize("layer", [Layer.LANDLOCK, Layer.SECCOMP, Layer.LIMITS, Layer.SESSION])
async def test_strict_mode_without_layer_rejects_models(
    layer: Layer, honest: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS, layers=ALL_LAYERS - {layer})
    try:
        with caplog.at_level(logging.ERROR):
            report = await runner.probe()
        assert not report.accepts_models
        assert layer in report.missing
        assert layer.value in caplog.text
        with pytest.raises(SandboxUnavailable, match=layer.value):
            await runner.inspect(model_file(honest))
    finally:
        await runner.close()


@pytest.mark.parametrize(
    ("missing", "accepted"),
    [({Layer.LANDLOCK, Layer.UID}, False), ({Layer.UID}, True), ({Layer.SECCOMP}, False), ({Layer.LIMITS}, False)],
)
async def test_degraded_mode_accepts_missing_layers(missing: set[Layer], accepted: bool, honest: Path) -> None:
    runner = SandboxedModelRunner(mode=SandboxMode.DEGRADED, registry=PLAIN_FORMATS, layers=ALL_LAYERS - missing)
    try:
        report = await runner.probe()
        assert report.accepts_models is accepted, report
        if accepted:
            assert (await runner.inspect(model_file(honest))).n_features == 2
    finally:
        await runner.close()


async def test_off_mode_still_uses_child(honest: Path, tmp_path: Path) -> None:
    runner = SandboxedModelRunner(mode=SandboxMode.OFF, registry=PLAIN_FORMATS)
    try:
        assert (await runner.inspect(model_file(honest))).n_features == 2
        with pytest.raises(ModelRejected) as caught:
            await runner.inspect(model_file(hostile(tmp_path, "import os; report(os.getpid())")))
        assert str(os.getpid()) not in caught.value.message
    finally:
        await runner.close()


async def test_close_ends_running_models(tmp_path: Path) -> None:
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS, max_children=2)
    await runner.warm_up()
    slow = model_file(hostile(tmp_path, "import time; time.sleep(60)"))
    calls = [asyncio.create_task(runner.inspect(slow)) for _ in range(2)]
    await until(lambda: len(children_of(runner)) == 2)
    await runner.close()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, SandboxUnavailable) for result in results), results


async def until(holds: object) -> None:
    for _ in range(300):
        if holds():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


def children_of(runner: SandboxedModelRunner) -> list[int]:
    found = []
    for link in list(runner._children._zygotes.values()):
        listed = Path(f"/proc/{link.pid}/task/{link.pid}/children")
        if listed.exists():
            found += [int(pid) for pid in listed.read_text().split()]
    return found


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Charges:
    """A CoreBudget that notes what it is asked; `refusal` is what it raises."""

    def __init__(self, refusal: ServiceError | None = None) -> None:
        self.refusal = refusal
        self.charged: list[tuple[str, float]] = []

    def admit(self, user_id: str) -> None:
        assert user_id
        if self.refusal is not None:
            raise self.refusal

    def charge(self, user_id: str, seconds: float) -> None:
        self.charged.append((user_id, seconds))


async def test_processor_time_of_children_is_charged(honest: Path, tmp_path: Path) -> None:
    budget = Charges()
    runner = SandboxedModelRunner(
        registry=PLAIN_FORMATS, max_children=1, deadline_s=DEADLINE_S, memory_bytes=1 << 30, budget=budget
    )
    try:
        await runner.predict(model_file(honest), features(4), COLUMNS, None)
        [(owner, honest_s)] = budget.charged
        assert owner == model_file(honest).user_id
        assert 0 < honest_s < DEADLINE_S
        with pytest.raises(TimedOut):
            endless = hostile(tmp_path, "while True: pass")
            await runner.predict(model_file(endless), features(4), COLUMNS, None)
        assert budget.charged[1][1] > honest_s
        assert budget.charged[1][1] > 0.05 * DEADLINE_S  # killed, and counted all the same
    finally:
        await runner.close()


async def test_owner_without_time_left_opens_no_model(honest: Path) -> None:
    budget = Charges(TimedOut("None left."))
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS, max_children=1, budget=budget)
    try:
        with pytest.raises(TimedOut, match=r"None left\."):
            await runner.predict(model_file(honest), features(4), COLUMNS, None)
        assert budget.charged == []
    finally:
        await runner.close()
