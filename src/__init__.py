"""The backtesting service: candles and a strategy or a trained model in, an honest judgement out."""

__version__ = "0.1.0"
