"""The pages that the service shows in a browser: HTML shells, and the static files that draw them."""
