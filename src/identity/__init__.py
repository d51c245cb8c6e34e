"""The ways to find out who sends a request, one file each."""
