"""What should be: the limits of each type of machine, the checkpoints and prerequisites that ship, and waivers."""
