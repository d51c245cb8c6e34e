"""Read model files into predictors: one module for each library."""
