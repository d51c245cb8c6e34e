from __future__ import annotations

import subprocess
import sys

import pytest

from src.domain.errors import InvalidInput
from src.features.names import FEATURE_NAMES, OHLCV_NAMES
from src.features.selection import choose_columns

ALL = FEATURE_NAMES


@pytest.mark.parametrize(
    ("requested", "model_names", "n_features", "chosen"),
    [
        (None, None, 14, ALL),
        (None, None, 5, OHLCV_NAMES),
        ((), None, 5, OHLCV_NAMES),
        (None, ("Close", "Open"), 2, ("Close", "Open")),
        (None, ("Close", "Open"), None, ("Close", "Open")),
        (("Volume", "SMA_5"), None, 2, ("Volume", "SMA_5")),
        (("Volume", "SMA_5"), None, None, ("Volume", "SMA_5")),
        # the same names in another order: those of the model decide where each goes
        (("Open", "Close"), ("Close", "Open"), 2, ("Close", "Open")),
        (tuple(reversed(ALL)), ALL, 14, ALL),
        # names that mean nothing here are matched by position
        (("Open", "Close"), ("price_a", "price_b"), 2, ("Open", "Close")),
    ],
)
def test_columns_are_chosen_by_order_of_preference(
    requested: tuple[str, ...] | None,
    model_names: tuple[str, ...] | None,
    n_features: int | None,
    chosen: tuple[str, ...],
) -> None:
    assert choose_columns(ALL, requested, model_names, n_features) == chosen


@pytest.mark.parametrize(
    ("requested", "model_names", "n_features", "words"),
    [
        (("Open", "RSI_14"), None, 2, ["unknown columns: 'RSI_14'"]),
        (("Open", "Open"), None, 2, ["'Open' more than once"]),
        (("Open", "Close"), None, 14, ["names 2", "expects 14"]),
        (("Open", "Close"), ("a", "b", "c"), None, ["names 2", "expects 3"]),
        (None, None, 7, ["expects 7 columns", "Name them in featureColumns."]),
        (None, None, None, ["does not say which columns", "Name them in featureColumns."]),
        (None, ("Open", "RSI_14"), 2, ["trained on columns that do not exist here ('RSI_14')", "which 2 columns"]),
    ],
)
def test_impossible_choice_is_rejected_with_known_columns(
    requested: tuple[str, ...] | None, model_names: tuple[str, ...] | None, n_features: int | None, words: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        choose_columns(ALL, requested, model_names, n_features)
    assert caught.value.field == "featureColumns"
    for word in [*words, ", ".join(ALL)]:
        assert word in caught.value.message


def test_columns_contradicting_model_are_rejected() -> None:
    with pytest.raises(InvalidInput, match="trained on 'Close', 'Volume'") as caught:
        choose_columns(ALL, ("Open", "Close"), ("Close", "Volume"), 2)
    assert caught.value.field == "featureColumns"


def test_hostile_names_are_shortened_in_message() -> None:
    with pytest.raises(InvalidInput) as caught:
        choose_columns(ALL, None, ["x" * 100_000] * 1000, 1000)
    assert len(caught.value.message) < 2000


def test_selection_imports_no_numeric_library() -> None:
    code = "import sys, src.features.selection; sys.exit(bool({'numpy', 'numba', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["a" * 40], f"('{'a' * 40}')"),
        (["a" * 41], f"('{'a' * 40}…')"),
        (["x"] * 20, "'x')"),
        (["x"] * 21, "'x' and 1 more)"),
    ],
)
def test_message_lists_few_and_short_names(names: list[str], shown: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        choose_columns(ALL, None, names, None)
    assert shown in caught.value.message
    assert caught.value.message.count("'x'") in {0, 20}


def test_default_columns_must_exist() -> None:
    with pytest.raises(InvalidInput, match="expects 14 columns and does not name them"):
        choose_columns(OHLCV_NAMES, None, None, 14)
    assert choose_columns(OHLCV_NAMES, None, None, 5) == OHLCV_NAMES
