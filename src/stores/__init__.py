"""Store results (SQLite, MongoDB) and model files."""
