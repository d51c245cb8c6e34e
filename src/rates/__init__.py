"""Count what each sender uses per period of time, and refuse what exceeds a limit."""
