"""Where model files are opened: a child process that can do nothing else."""
