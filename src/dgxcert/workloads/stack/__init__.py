"""Whether the Hugging Face libraries work together on this machine."""
