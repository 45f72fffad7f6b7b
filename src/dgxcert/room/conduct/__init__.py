"""How a room gets done: every host on its own way, and none that waits for another."""
