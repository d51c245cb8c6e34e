"""Serve five tools to agents over the Model Context Protocol."""
