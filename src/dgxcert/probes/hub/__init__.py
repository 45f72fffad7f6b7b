"""Whether the Hugging Face Hub can be reached: a download tested step by step."""
