"""Distributed: work that one process per GPU does together, through torch.distributed."""
