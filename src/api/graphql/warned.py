"""Write warnings of fields whose type cannot hold them into the response's `extensions.warnings`."""

from __future__ import annotations

from typing import Any

from strawberry.extensions import SchemaExtension

from src.api.graphql.context import GraphQLContext


class ExtensionWarnings(SchemaExtension):
    """Write the warnings that resolvers left in the context; a response without warnings has no such entry."""

    def get_results(self) -> dict[str, Any]:
        context = self.execution_context.context
        # Requests that fail before they are executed have a context of another kind, or none.
        warnings = context.warnings if isinstance(context, GraphQLContext) else []
        return {"warnings": warnings} if warnings else {}
