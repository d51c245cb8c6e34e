"""The users' own bars: files read within bounds, and stored datasets."""
