"""Pairs: work that two machines do together over the cable between them, an end on each."""
