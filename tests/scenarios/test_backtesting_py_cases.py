"""Fill the cases of backtesting.py as drawn, and as its broker does where our rules are the same."""

from __future__ import annotations

import pytest

from tests.scenarios.backtesting_py_cases import CASES
from tests.scenarios.foreign_cases import ForeignCase, check_cases, expressible


@pytest.mark.parametrize("case", expressible(CASES), ids=lambda case: case.name)
def test_backtesting_py_case_fills_as_drawn(case: ForeignCase) -> None:
    case.play()


def test_backtesting_py_cases_say_how_they_fare() -> None:
    check_cases(CASES)
