"""Write files that survive a crash, completely or not at all, and remove the files of killed processes."""
