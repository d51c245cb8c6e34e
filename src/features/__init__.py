"""From candles to the columns that a model reads."""
