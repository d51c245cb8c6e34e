"""Imported by a process that forks before it opens pickles, so that no child pays for first times."""

from src.model_formats.sklearn import rehearse

rehearse()
