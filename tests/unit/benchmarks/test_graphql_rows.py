from __future__ import annotations

import asyncio
from contextlib import closing

from src.api.graphql.schema import build_schema
from tests.benchmarks.graphql_rows import LIMITS, answer
from tests.factories import make_result


def test_both_ways_that_are_measured_give_the_same_bytes() -> None:
    stored = make_result(50)
    with closing(asyncio.new_event_loop()) as loop:
        columns = answer(loop, build_schema(LIMITS), stored)
        assert columns == answer(loop, build_schema(LIMITS, has_columns=False), stored)
    assert columns.count(b"portfolioValue") == 50
