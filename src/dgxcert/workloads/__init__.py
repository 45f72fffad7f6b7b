"""Workloads: timed or judged work. torch and its friends are imported inside functions only."""
