"""Compute the feature columns that models read, and choose the columns and rows for a model."""
