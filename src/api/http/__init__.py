"""What surrounds every endpoint over HTTP: limits, connections, cross-site rules, compression, disconnects."""
