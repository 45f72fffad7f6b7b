"""Writing files whole, and reading files that somebody else may have made."""
