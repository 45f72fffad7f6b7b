"""Data parallelism: one model on several devices, each with rows of its own, by torch's DistributedDataParallel."""
