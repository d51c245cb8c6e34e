"""Candles from the exchange, from a seed, from files."""
