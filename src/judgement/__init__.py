"""Measure how reliable the result of a backtest is."""
