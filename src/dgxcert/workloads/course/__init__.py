"""Whether what the course module teaches holds on this machine."""
