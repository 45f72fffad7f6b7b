"""Plots: what people would rather look at than read, as SVG that takes its colours from the page it stands in."""
