"""Sweeps: combinations of parameters, compiled kernels that compute their rows, and walk-forward folds."""
