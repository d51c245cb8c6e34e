"""Build the domain's requests from what a client sends by either API."""
