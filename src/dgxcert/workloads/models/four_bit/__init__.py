"""Four-bit products by our own kernels: the weights, the kernels in Triton, their operator for torch, and a trial."""
