"""Demonstrate the service: start it, use it over HTTP as a client would, show its responses."""
