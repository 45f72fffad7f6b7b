"""The engine's own words and files: what its errors mean, and the toolkit and settings by which it gives GPUs away."""
