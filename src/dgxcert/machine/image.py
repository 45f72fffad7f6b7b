"""The image: what a container image was built from, by its labels, and whether that is this checkout."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

LABEL_STACK = "org.dgxcert.stack"
LABEL_LOCK = "org.dgxcert.lock.sha256"
LABEL_SUITE = "org.dgxcert.suite.sha256"
LABEL_RECIPE = "org.dgxcert.recipe.sha256"
LABEL_BASE = "org.opencontainers.image.base.name"
LABEL_BASE_DIGEST = "org.opencontainers.image.base.digest"
LABEL_COMMIT = "org.opencontainers.image.revision"
LABEL_STANDIN = "org.dgxcert.standin"

LAST_STEP = 'CMD ["--help"]'
"""The last instruction of container/Dockerfile. An image built on ours, or committed from its container, inherits all
labels, and its history usually shows further steps. What proves an image is its id: `built_here`."""


def kernel_architecture(name: str) -> str:
    """The name that `uname -m` prints for an architecture of Docker.

    >>> kernel_architecture("arm64")
    'aarch64'
    """
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(name, name)


class Recipe(BaseModel):
    """What an image must have been built from so that this checkout uses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stack: str
    base: str
    base_digest: str
    """The base image's digest in its registry, or its id where only this engine has it."""
    lock_sha256: str
    suite_sha256: str
    recipe_sha256: str
    """Hash of everything else that determines the image: Dockerfile, guard and package metadata."""

    @property
    def labels(self) -> dict[str, str]:
        """The labels of an image that was built from this recipe."""
        return {
            LABEL_STACK: self.stack,
            LABEL_BASE: self.base,
            LABEL_BASE_DIGEST: self.base_digest,
            LABEL_LOCK: self.lock_sha256,
            LABEL_SUITE: self.suite_sha256,
            LABEL_RECIPE: self.recipe_sha256,
        }


class Image(Recipe):
    """The image that a run used, as in its record. Only a `proven` one can certify."""

    reference: str
    id: str
    architecture: str
    commit: str
    size_bytes: int
    standin: bool = False
    untouched: bool = False
    """Whether it has no step after the last one of the Dockerfile."""
    layers: tuple[str, ...] = Field(default=(), exclude=True, repr=False)
    """Hashes of its layers, from the base image's first to its own last; not in the record."""
    built_here: bool = False
    """Whether its id came out of this builder's own build of the recipe: labels and history prove nothing."""
    on_pinned_base: bool = False
    """Whether its base is the image that this checkout pins by digest, and its first layers are that image's."""

    @property
    def proven(self) -> bool:
        """Whether a verdict on this image is a verdict on the software that dgxcert certifies."""
        return self.built_here and self.on_pinned_base and self.untouched and not self.standin

    @property
    def doubt(self) -> str:
        """Why it is not proven; empty where it is."""
        if self.standin:
            return "is built on a stand-in for NVIDIA's"
        if not self.built_here or not self.untouched:
            return "did not come out of a build of this checkout"
        return "" if self.on_pinned_base else f"is built on {self.base}, which is not the pinned base image"

    @property
    def kernel_architecture(self) -> str:
        """Its architecture as `uname -m` prints it."""
        return kernel_architecture(self.architecture)


def parse(answer: str, reference: str, last_step: str) -> Image:
    """The image in the output of `docker image inspect`; missing labels are empty strings.

    `last_step` is the newest line of `docker history`.

    >>> answer = '[{"Id": "sha256:77", "Architecture": "arm64", "Size": 9, "Config": {"Labels": null}}]'
    >>> image = parse(answer, "python:3", 'CMD ["python3"]')
    >>> image.kernel_architecture, image.untouched
    ('aarch64', False)
    """
    inspected: dict[str, Any] = json.loads(answer)[0]
    labels: dict[str, str] = inspected["Config"].get("Labels") or {}
    return Image(
        reference=reference,
        id=inspected["Id"],
        architecture=inspected.get("Architecture", ""),
        size_bytes=inspected.get("Size", 0),
        stack=labels.get(LABEL_STACK, ""),
        base=labels.get(LABEL_BASE, ""),
        base_digest=labels.get(LABEL_BASE_DIGEST, ""),
        lock_sha256=labels.get(LABEL_LOCK, ""),
        suite_sha256=labels.get(LABEL_SUITE, ""),
        recipe_sha256=labels.get(LABEL_RECIPE, ""),
        layers=tuple((inspected.get("RootFS") or {}).get("Layers") or ()),
        untouched=last_step.endswith(LAST_STEP),
        commit=labels.get(LABEL_COMMIT, ""),
        standin=LABEL_STANDIN in labels,
    )


def difference(image: Image, recipe: Recipe) -> str:
    """A description of how an image differs from a recipe; empty where it was built from it and not changed since."""
    if not image.untouched:
        return "something was added to it after it was built"
    pairs = {
        "stack": (image.stack, recipe.stack),
        "base image": (image.base, recipe.base),
        "base digest": (image.base_digest, recipe.base_digest),
        "lock": (image.lock_sha256, recipe.lock_sha256),
        "suite": (image.suite_sha256, recipe.suite_sha256),
        "recipe": (image.recipe_sha256, recipe.recipe_sha256),
    }
    return ", ".join(
        f"{name} is {has or 'unknown'}, wanted {want or 'unknown'}"
        for name, (has, want) in pairs.items()
        if has != want
    )
