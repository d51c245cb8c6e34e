"""How the process lives: started, supervised, warmed up, told apart from others, and ended."""
