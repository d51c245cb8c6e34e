"""Whether a result is to be believed."""
