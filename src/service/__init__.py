"""Backtests and model files, as use cases."""
