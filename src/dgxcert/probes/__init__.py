"""Probes: each reads one fact about the machine. `read` does the I/O, `parse` is pure."""
