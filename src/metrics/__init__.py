"""Compute the metrics of a simulation."""
