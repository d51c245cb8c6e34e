"""Parse, check, resample and simulate bars, and report on their quality."""
