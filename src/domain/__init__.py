"""Candles, signals, fills, results and errors as frozen types."""
