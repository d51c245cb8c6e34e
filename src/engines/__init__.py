"""From signals to fills and equity."""
