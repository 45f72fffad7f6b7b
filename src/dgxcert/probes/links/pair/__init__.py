"""Pair: what the kernel says of the link between two machines, on one end."""
