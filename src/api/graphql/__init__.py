"""The GraphQL schema, in both spellings."""
