"""Which software is installed: packages, their versions and files, and the container image they are part of."""
