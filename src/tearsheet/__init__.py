"""Compute what a tear sheet shows of a result: pure functions on arrays."""
