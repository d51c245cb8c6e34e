"""REST and GraphQL: requests in, answers out, errors mapped to both."""
