"""dgxcert: certifies NVIDIA DGX machines for Hugging Face work."""

from dgxcert.requirement import requirement

__all__ = ["requirement"]
