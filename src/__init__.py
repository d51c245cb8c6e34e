"""The backtesting service: turns bars and a strategy or a trained model into a result and its warnings."""

__version__ = "0.1.0"
