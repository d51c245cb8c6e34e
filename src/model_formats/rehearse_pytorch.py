"""Run TorchScript once when imported: a zygote does so before it forks, so that its children skip the set-up."""

from src.model_formats.pytorch import rehearse

rehearse()
