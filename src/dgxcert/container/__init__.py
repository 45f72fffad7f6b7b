"""The image and the engine: how the image is built, by which clients, and which secrets a container gets."""
