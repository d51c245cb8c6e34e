"""Files that survive a crash: written whole or not at all, and removed after their process was killed."""
