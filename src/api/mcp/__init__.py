"""Serve eight tools to agents over the Model Context Protocol."""
