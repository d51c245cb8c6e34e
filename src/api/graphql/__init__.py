"""Define the GraphQL schema and serve it; both spellings of names are accepted."""
