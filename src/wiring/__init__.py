"""Construct every adapter and service from the settings; the only room that does."""
