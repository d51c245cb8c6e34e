"""What a GraphQL document may ask for."""

from __future__ import annotations

from pydantic import BaseModel, Field


class GraphqlSettings(BaseModel):
    """The schema's visibility and the bounds of documents."""

    graphql_introspection: bool = Field(True, description="Whether clients may read the GraphQL schema.")
    graphql_max_depth: int = Field(12, ge=4, le=100, description="Deepest nesting of a GraphQL document.")
    graphql_max_aliases: int = Field(
        100, ge=1, le=10_000, description="Maximum number of aliases in a GraphQL document."
    )
    graphql_max_tokens: int = Field(
        4000, ge=100, le=100_000, description="Maximum number of tokens in a GraphQL document."
    )
