"""Simulate signals on bars: the vectorized and the event-driven engine."""
