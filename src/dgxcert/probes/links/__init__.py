"""What the links between GPUs are, by the driver."""
