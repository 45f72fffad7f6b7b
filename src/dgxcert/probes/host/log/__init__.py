"""The kernel log by subject: tables of lines and what each means, where they are read, and the end of the last boot."""
