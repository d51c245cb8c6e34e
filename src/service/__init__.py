"""The use cases of the service: backtests, results, model files and datasets."""
