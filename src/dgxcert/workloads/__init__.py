"""Workloads: work that is timed or verified. torch and Hugging Face libraries are imported inside functions only."""
