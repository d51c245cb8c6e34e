"""The domain's enums as GraphQL names and describes them; inputs and outputs take them from here."""

from __future__ import annotations

import strawberry

from src.domain.signals import OutputKind
from src.domain.trading import Direction, EngineName, EntryType, FillTiming, IntrabarPolicy

__all__ = ["Direction", "EngineName", "EntryType", "FillTiming", "IntrabarPolicy", "OutputKind"]

strawberry.enum(
    EngineName,
    name="Engine",
    description="VECTORIZED: whole arrays at once. EVENT_DRIVEN: orders that wait, gap, stop out and expire.",
)
strawberry.enum(
    FillTiming,
    description="SAME_CLOSE: at the close of the signal's bar. NEXT_OPEN: at the open of the next bar.",
)
strawberry.enum(Direction, description="BOTH: a sell signal turns a long into a short, and a buy signal turns it back.")
strawberry.enum(EntryType, description="How a signal enters: at the market, or by an order that waits.")
strawberry.enum(
    IntrabarPolicy,
    description="When one bar could have hit both stop and target: PESSIMISTIC takes the stop, OPTIMISTIC the target.",
)
strawberry.enum(
    OutputKind,
    description=(
        "What a model's numbers mean. PROBABILITY: P(class 1). BINARY_LABEL: 1 long, 0 flat. SIGNED_LABEL: -1 sell, "
        "0 keep, 1 buy. VALUE: a regression's number."
    ),
)
