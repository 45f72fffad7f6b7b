"""What software is installed: packages, their versions and files, and the container they are part of."""
