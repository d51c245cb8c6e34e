"""Construct every adapter and service from the settings; the only package that does."""
