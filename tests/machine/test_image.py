"""An image is identified by its labels: what it was built from, and whether it is a stand-in that cannot certify."""

import json

import pytest
from paths import ROOT

from dgxcert.machine import image
from dgxcert.machine.image import Image, Recipe

WANTED = Recipe(
    stack="course",
    base="base@sha256:1",
    base_digest="sha256:1",
    lock_sha256="aa",
    suite_sha256="b",
    recipe_sha256="cc",
)


def answer(labels: dict[str, str] | None) -> str:
    """The output of `docker image inspect`, shortened."""
    return json.dumps([{"Id": "sha256:77", "Architecture": "arm64", "Size": 9, "Config": {"Labels": labels}}])


def image_with(**changed: str) -> Image:
    return image.parse(answer({**WANTED.labels, **changed}), "dgxcert:course", image.LAST_STEP)


def test_an_image_built_from_the_recipe_has_no_difference() -> None:
    assert image.difference(image_with(), WANTED) == ""


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (image.LABEL_STACK, "stack is other, wanted course"),
        (image.LABEL_BASE, "base image is other"),
        (image.LABEL_BASE_DIGEST, "base digest is other, wanted sha256:1"),
        (image.LABEL_LOCK, "lock is other, wanted aa"),
        (image.LABEL_SUITE, "suite is other, wanted b"),
    ],
)
def test_each_label_that_differs_is_named(label: str, message: str) -> None:
    assert message in image.difference(image_with(**{label: "other"}), WANTED)


def test_an_image_without_labels_is_unknown() -> None:
    assert "suite is unknown" in image.difference(image.parse(answer(None), "python:3", image.LAST_STEP), WANTED)


@pytest.mark.parametrize("value", ["true", "false", ""])
def test_any_value_of_the_stand_in_label_makes_a_stand_in(value: str) -> None:
    assert image_with(**{image.LABEL_STANDIN: value}).standin


def test_an_image_without_the_stand_in_label_is_none() -> None:
    assert not image_with().standin


def test_its_architecture_is_named_as_uname_names_it() -> None:
    assert image_with().kernel_architecture == "aarch64"


def test_an_image_with_a_later_step_differs_whatever_its_labels() -> None:
    """An image built on another, or committed from its container, inherits its labels."""
    ours = image.parse(answer(WANTED.labels), "dgxcert:course", 'CMD ["--help"]')
    assert image.difference(ours, WANTED) == ""
    changed = image.parse(answer(WANTED.labels), "dgxcert:course", "RUN /bin/sh -c pip install torch # buildkit")
    assert image.difference(changed, WANTED) == "something was added to it after it was built"
    assert not changed.model_copy(update={"on_pinned_base": True, "built_here": True}).proven


@pytest.mark.parametrize(
    ("missing", "doubt"),
    [
        ({}, ""),
        ({"standin": True}, "is built on a stand-in for NVIDIA's"),
        ({"built_here": False}, "did not come out of a build of this checkout"),
        ({"untouched": False}, "did not come out of a build of this checkout"),
        ({"on_pinned_base": False}, "is built on base@sha256:1, which is not the pinned base image"),
    ],
)
def test_only_an_image_of_our_own_build_on_the_pinned_base_is_proven(missing: dict[str, bool], doubt: str) -> None:
    ours = image.parse(answer(WANTED.labels), "dgxcert:course", image.LAST_STEP)
    assert not ours.proven, "whatever its labels say"
    proven = {"built_here": True, "on_pinned_base": True, "untouched": True, "standin": False}
    found = ours.model_copy(update={**proven, "base": "base@sha256:1", **missing})
    assert (found.proven, found.doubt) == (not missing, doubt)


def test_the_last_step_is_the_last_of_the_dockerfile() -> None:
    dockerfile = ROOT / "container" / "Dockerfile"
    assert dockerfile.read_text(encoding="utf-8").rstrip().splitlines()[-1] == image.LAST_STEP
