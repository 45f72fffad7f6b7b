"""Pairs: two machines of a room, the cable between them, and how they work together."""
