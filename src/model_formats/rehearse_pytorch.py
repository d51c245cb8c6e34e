"""Imported by a process that forks before it opens TorchScript, so that no child pays for first times."""

from src.model_formats.pytorch import rehearse

rehearse()
