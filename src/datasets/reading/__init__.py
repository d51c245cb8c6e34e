"""Read uploaded files of bars (CSV, gzipped CSV, Parquet) in a child process, within bounds."""
