"""How the machines of a room compare: in what they reach, in their settings, and whether each is another one."""
