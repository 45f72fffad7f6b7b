"""Probes: each reads one fact about the machine. `read` does the looking, `parse` is pure."""
