"""Datasets, the bars that users upload: read their files within bounds, store them, and serve them as a source."""
