"""Reference: what is known without any run, on the terminal: a requirement explained, and the profiles."""
