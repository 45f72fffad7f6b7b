"""How fast and how correctly adapters are trained."""
