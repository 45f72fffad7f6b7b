"""dgxcert: certifies NVIDIA DGX machines for Hugging Face work."""

from dgxcert.judgement.requirement import requirement

__all__ = ["requirement"]
