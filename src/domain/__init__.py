"""The frozen types of the service: bars, signals, fills, results, parameters and errors."""
