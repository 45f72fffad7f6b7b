"""Whether what a GPU computes is right."""
