"""From a model file to a predictor, one file for each library."""
