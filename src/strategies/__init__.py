"""The strategies, which give signals from bars or from a model's predictions."""
