"""What works on a stage: one child of a lane, and several lanes at the same time."""
