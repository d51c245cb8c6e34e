"""Open users' model files in restricted child processes."""
