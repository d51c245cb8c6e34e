"""Count what each sender of requests uses in a time, and refuse what is over a limit."""
