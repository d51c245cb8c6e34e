"""What a worker of a cluster does with the parts of a sweep: checked, prepared once, and dropped in time."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.domain.signals import OutputKind, Predictions, StrategyDescription
from src.domain.sweep_rows import SweepInputs
from src.jobs.cluster_rows import MAX_PREPARED, PreparedSweeps, build_evaluator, compute_rows, digest, split_inputs
from src.sweeps.evaluation import Evaluator
from src.sweeps.row_bytes import to_bytes
from tests.factories import make_request
from tests.market import random_bars
from tests.sweep_agreement import build_sweep

BARS = random_bars(300, seed=3)
REQUEST, VALUES = build_sweep(make_request(), {"fast": [3, 4, 5], "slow": [20, 20, 30]})
INPUTS = SweepInputs(request=REQUEST, bars=BARS)


def sent(inputs: SweepInputs = INPUTS) -> list[Any]:
    """Return the keys and the parts as a worker receives them."""
    parts = split_inputs(inputs)
    return [parts.keys, *(None if key is None else pickle.loads(pickle.dumps(parts.by_key[key])) for key in parts.keys)]


def test_rows_of_received_parts_are_the_same() -> None:
    found = compute_rows(*sent(), VALUES, 0, 3)
    assert found.remote_core_s > 0
    expected = Evaluator(INPUTS).evaluate(VALUES, first=0, total=3)
    assert to_bytes(found.rows) == to_bytes(expected.rows)
    assert list(pickle.loads(pickle.dumps(found)).descriptions) == list(expected.descriptions)


def test_received_parts_are_read_only_as_sent_ones() -> None:
    values = np.linspace(0, 1, len(BARS))
    sent_ones = (replace(BARS, inside=BARS), Predictions(values=values, kind=OutputKind.VALUE, among_others=values))
    bars, predictions = pickle.loads(pickle.dumps(sent_ones))
    arrays = (bars.open_time_ms, bars.close, bars.inside.volume, predictions.values, predictions.among_others)
    assert not any(array.flags.writeable for array in arrays)
    assert bars == BARS == bars.inside


@pytest.mark.parametrize("place", [1, 2])
def test_damaged_part_is_refused(place: int) -> None:
    given = sent()
    given[place] = given[place] + b" " if place == 1 else random_bars(300, seed=4)
    with pytest.raises(ValueError, match="damaged on its way"):
        build_evaluator(*given)


def test_missing_part_is_refused() -> None:
    given = sent(replace(INPUTS, history=BARS))
    given[3] = None
    with pytest.raises(ValueError, match=r"damaged on its way: sent bars-.*, received None"):
        build_evaluator(*given)


def test_request_of_another_kind_is_refused() -> None:
    request = pickle.dumps("no sweep")
    with pytest.raises(TypeError, match="str is not a sweep"):
        build_evaluator((digest(request), digest(BARS), None, None), request, BARS, None, None)


def test_predictions_travel_as_numbers_alone() -> None:
    values = np.linspace(0, 1, len(BARS))
    predictions = Predictions(
        values=values, kind=OutputKind.VALUE, warnings=("long",), among_others=values, audit_failure="none"
    )
    [travels] = [
        part
        for part in split_inputs(replace(INPUTS, predictions=predictions)).by_key.values()
        if isinstance(part, Predictions)
    ]
    assert travels.values.tobytes() == values.tobytes()
    assert (travels.warnings, travels.among_others, travels.audit_failure) == ((), None, None)
    other = replace(predictions, kind=OutputKind.PROBABILITY)
    assert digest(other) != digest(predictions) == digest(travels)


def test_equal_bars_travel_once() -> None:
    parts = split_inputs(replace(INPUTS, history=BARS))
    assert parts.keys[1] == parts.keys[2] == digest(BARS)
    assert len(parts.by_key) == 2


def test_prepared_sweep_is_dropped_when_others_follow() -> None:
    prepared, built = PreparedSweeps(), []

    def find(name: str) -> None:
        prepared.find((name,), lambda: built.append(name) or Evaluator(INPUTS))  # type: ignore[func-returns-value]

    for name in ("a", "a", "b", "a", "c", "a", "b"):
        find(name)
    assert built == ["a", "b", "c", "b"]
    assert len(prepared) == MAX_PREPARED


def test_description_survives_its_pickle() -> None:
    description = StrategyDescription(name="x", parameters={"length": 3, "names": ("a", "b"), "weights": {"a": 0.5}})
    assert pickle.loads(pickle.dumps(description)) == description
