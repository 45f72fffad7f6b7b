"""Plots of a run as inline SVG in the colours of the page, each with a text alternative."""
