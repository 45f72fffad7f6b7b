"""What models are made of: architectures, weights, 4-bit layers, text to train on."""
