"""Layers around every endpoint: limits, connections, cross-site rules, compression, disconnects."""
