"""Work on jobs: lease them, compute their chunks in threads or on a cluster, and end them."""
