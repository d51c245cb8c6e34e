"""Serve REST and GraphQL: read requests, write responses, map errors for both APIs."""
