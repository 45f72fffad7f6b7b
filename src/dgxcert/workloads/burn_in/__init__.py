"""Whether a machine keeps computing the same, at the same speed, for hours."""
