"""Ways to reach another user's things: one table over REST, GraphQL and MCP, by operation."""

from tests.foreign_things.attacks import CSV, PORTFOLIO, RSI, SWEPT, Attack, Things, describe, fill
from tests.foreign_things.graphql import GRAPHQL
from tests.foreign_things.mcp import MCP
from tests.foreign_things.rest import REST

__all__ = ["CSV", "GRAPHQL", "MCP", "PORTFOLIO", "REST", "RSI", "SWEPT", "Attack", "Things", "describe", "fill"]
