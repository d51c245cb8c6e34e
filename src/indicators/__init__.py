"""Compute technical indicators: pure functions on arrays, found by name in a registry."""
