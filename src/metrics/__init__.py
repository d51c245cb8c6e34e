"""The figures that judge a simulation."""
