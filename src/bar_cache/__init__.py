"""Download bars of the exchange once, and store them on disk for all users."""
