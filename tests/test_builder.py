"""The image is reused only where its labels say that it was built from this checkout, and built only when allowed."""

from dgxcert.image import Recipe

WANTED = Recipe(
    stack="course",
    base="base@sha256:1",
    base_digest="sha256:1",
    lock_sha256="aa",
    suite_sha256="b",
    recipe_sha256="cc",
)
