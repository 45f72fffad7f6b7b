"""What the GPUs are, as the driver, CUDA and the PCI bus tell."""
