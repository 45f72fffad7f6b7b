"""How fast a model reads prompts and generates tokens."""
