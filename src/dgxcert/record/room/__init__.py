"""A room on disk: what is kept of machines that were validated together."""
