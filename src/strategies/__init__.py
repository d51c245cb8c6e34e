"""From candles or predictions to signals."""
