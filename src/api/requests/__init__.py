"""From what a client sends, by either API, to the domain's requests."""
