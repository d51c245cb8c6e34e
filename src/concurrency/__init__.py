"""Mechanisms for concurrent work: shared runs, a fair bounded queue, child processes, threads."""
