"""Our compiled functions as plain Python, others as they are."""

from __future__ import annotations

import numpy as np

from tests.mutation.interpreted import _njit


def add_one(records: np.ndarray) -> np.ndarray:
    for record in records:
        record.amount += 1
    return records


def test_our_functions_read_and_write_fields_as_attributes() -> None:
    add_one.__module__ = "src.engines.book"
    records = np.zeros(2, dtype=[("amount", np.int64)])
    for decorated in (_njit(add_one), _njit(nogil=True)(add_one)):
        assert isinstance(decorated(records), np.recarray)
    assert records["amount"].tolist() == [2, 2]


def test_functions_of_others_are_compiled() -> None:
    def double(value: float) -> float:
        return value * 2

    double.__module__ = "vectorbt.nb"
    assert hasattr(_njit(nogil=True)(double), "py_func")
    double.__module__ = "src.engines.book"
    assert not hasattr(_njit(nogil=True)(double), "py_func")


def test_judgement_stays_compiled() -> None:
    def halve(value: float) -> float:
        return value / 2

    halve.__module__ = "src.judgement.resampling"
    assert hasattr(_njit(nogil=True)(halve), "py_func")
