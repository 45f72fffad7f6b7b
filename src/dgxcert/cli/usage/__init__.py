"""Usage: how a command is declared, what its help shows, and what a wrong word is answered with."""
