"""Files of candles that users bring: CSV, gzipped CSV and Parquet, read in a child process within bounds."""
