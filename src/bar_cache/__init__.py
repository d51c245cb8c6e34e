"""Bars of the exchange, downloaded once and stored on disk for all users."""
