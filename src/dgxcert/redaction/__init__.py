"""What must not leave a process: the secrets that it can see, and what looks like one, in whatever spelling."""
