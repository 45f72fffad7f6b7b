"""Merging: the runs of many machines, each rebuilt from its record, as one room."""
