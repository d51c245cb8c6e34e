"""The processor time of a user's models is charged to the user's budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.domain.errors import ServiceError, TimedOut
from src.sandbox.runner import SandboxedModelRunner
from tests.security.hostile import PLAIN_FORMATS, features, model_file
from tests.unit.sandbox.runners import COLUMNS, DEADLINE_S, hostile

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
