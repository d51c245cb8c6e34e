"""Keep users' files in object storage that several hosts share, behind a bounded cache on each host's disk."""
