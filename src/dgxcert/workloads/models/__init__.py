"""What do models consist of? Architectures, weights, 4-bit layers, text to train on."""
