"""Let documents leave `userId` out if the sender of each request is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
)

USER_ID: Final = "userId"


def make_users_optional(schema: GraphQLSchema) -> None:
    """Make every `userId` of arguments and inputs nullable; null or absent means the sender.

    If a service is called with None as user, it uses the caller (`service.access`).
    """
    for item in _find_users(schema):
        if isinstance(item.type, GraphQLNonNull):
            item.type = item.type.of_type
            item.default_value = None


def _find_users(schema: GraphQLSchema) -> Iterator[GraphQLArgument | GraphQLInputField]:
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLInputObjectType) and USER_ID in kind.fields:
            yield kind.fields[USER_ID]
        elif isinstance(kind, GraphQLObjectType):
            yield from (field.args[USER_ID] for field in kind.fields.values() if USER_ID in field.args)
