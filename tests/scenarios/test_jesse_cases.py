"""Fill jesse's cases as drawn, and as its simulator does where our rules are the same."""

from __future__ import annotations

import pytest

from tests.scenarios.foreign_cases import ForeignCase, check_cases, expressible
from tests.scenarios.jesse_cases import CASES


@pytest.mark.parametrize("case", expressible(CASES), ids=lambda case: case.name)
def test_jesse_case_fills_as_drawn(case: ForeignCase) -> None:
    case.play()


def test_jesse_cases_say_how_they_fare() -> None:
    check_cases(CASES)
