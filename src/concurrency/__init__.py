"""Work at the same time, each mechanism once: single flight, fair bounded queue, child process launcher, threads."""
