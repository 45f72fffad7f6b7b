"""What is delivered to every host of a room, and works there with the standard library alone."""
