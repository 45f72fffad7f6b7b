"""Signing a room: one statement that lists every machine with its own signed statement."""
