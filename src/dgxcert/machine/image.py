"""The image: what a container image says it was built from, and whether that is this checkout. Pure."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

LABEL_STACK = "org.dgxcert.stack"
LABEL_LOCK = "org.dgxcert.lock.sha256"
LABEL_SUITE = "org.dgxcert.suite.sha256"
LABEL_RECIPE = "org.dgxcert.recipe.sha256"
LABEL_BASE = "org.opencontainers.image.base.name"
LABEL_BASE_DIGEST = "org.opencontainers.image.base.digest"
LABEL_COMMIT = "org.opencontainers.image.revision"
LABEL_STANDIN = "org.dgxcert.standin"

LAST_STEP = 'CMD ["--help"]'
"""The last instruction of container/Dockerfile. Labels are inherited: what was built on an image of ours, or committed
from a container of it, carries them all, but its history goes on after this."""


def kernel_architecture(name: str) -> str:
    """An architecture as a kernel calls it: `aarch64` for Docker's `arm64`."""
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(name, name)


class Recipe(BaseModel):
    """What an image must have been built from to be used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stack: str
    base: str
    base_digest: str
    """Of the base image in its registry, or its id where it is known only to this engine."""
    lock_sha256: str
    suite_sha256: str
    recipe_sha256: str
    """Over all else that decides what is in the image: Dockerfile, guard and package description."""

    @property
    def labels(self) -> dict[str, str]:
        """The labels of an image that was built so."""
        return {
            LABEL_STACK: self.stack,
            LABEL_BASE: self.base,
            LABEL_BASE_DIGEST: self.base_digest,
            LABEL_LOCK: self.lock_sha256,
            LABEL_SUITE: self.suite_sha256,
            LABEL_RECIPE: self.recipe_sha256,
        }


class Image(Recipe):
    """The image that a run used, as its record keeps it; only one that is `proven` can certify."""

    reference: str
    id: str
    architecture: str
    commit: str
    size_bytes: int
    standin: bool = False
    untouched: bool = False
    """Whether nothing was added to it after it was built."""
    on_pinned_base: bool = False
    """Whether its base is the very one that this checkout pins by digest."""

    @property
    def proven(self) -> bool:
        """Whether a verdict about the software in it is one about the software that dgxcert certifies."""
        return self.on_pinned_base and self.untouched and not self.standin

    @property
    def kernel_architecture(self) -> str:
        """Its architecture as a kernel calls it."""
        return kernel_architecture(self.architecture)


def parse(answer: str, reference: str, last_step: str) -> Image:
    """What `docker image inspect` prints, as an Image; labels that are missing stay empty.

    `last_step` is the newest line of `docker history`.
    """
    found: dict[str, Any] = json.loads(answer)[0]
    labels: dict[str, str] = found["Config"].get("Labels") or {}
    return Image(
        reference=reference,
        id=found["Id"],
        architecture=found.get("Architecture", ""),
        size_bytes=found.get("Size", 0),
        stack=labels.get(LABEL_STACK, ""),
        base=labels.get(LABEL_BASE, ""),
        base_digest=labels.get(LABEL_BASE_DIGEST, ""),
        lock_sha256=labels.get(LABEL_LOCK, ""),
        suite_sha256=labels.get(LABEL_SUITE, ""),
        recipe_sha256=labels.get(LABEL_RECIPE, ""),
        untouched=last_step.endswith(LAST_STEP),
        commit=labels.get(LABEL_COMMIT, ""),
        standin=LABEL_STANDIN in labels,
    )


def difference(image: Image, wanted: Recipe) -> str:
    """In what an image differs from a recipe; empty when it was built so and left so."""
    if not image.untouched:
        return "something was added to it after it was built"
    pairs = {
        "stack": (image.stack, wanted.stack),
        "base image": (image.base, wanted.base),
        "base digest": (image.base_digest, wanted.base_digest),
        "lock": (image.lock_sha256, wanted.lock_sha256),
        "suite": (image.suite_sha256, wanted.suite_sha256),
        "recipe": (image.recipe_sha256, wanted.recipe_sha256),
    }
    return ", ".join(
        f"{name} is {has or 'unknown'}, wanted {want or 'unknown'}"
        for name, (has, want) in pairs.items()
        if has != want
    )
