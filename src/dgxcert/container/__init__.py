"""The image and the engine: how the image is built, by which clients, and what a container may be given."""
