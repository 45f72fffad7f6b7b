"""What the GPUs are and do, by the driver, CUDA and the PCI bus."""
