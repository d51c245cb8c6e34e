"""Fetch bars from Binance: its REST API, its bulk archive, and its request limits."""
