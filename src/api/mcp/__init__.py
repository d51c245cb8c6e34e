"""Serve seven tools to agents over the Model Context Protocol."""
