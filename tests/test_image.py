"""The image is reused only where its labels say that it was built from this checkout, and built only when allowed."""

import json
from pathlib import Path

import pytest

from dgxcert import command, image
from dgxcert.image import Image, Recipe
from dgxcert.outcome import CannotStart

WANTED = Recipe(stack="course", base="base@sha256:1", lock_sha256="aa", suite_sha256="bb")


def answer(labels: dict[str, str] | None) -> str:
    """What `docker image inspect` prints, shortened."""
    return json.dumps([{"Id": "sha256:77", "Architecture": "arm64", "Config": {"Labels": labels}}])


def image_with(**changed: str) -> Image:
    return image.parse(answer({**WANTED.labels, **changed}), "dgxcert:course")


def test_an_image_that_was_built_so_fits() -> None:
    assert image.difference(image_with(), WANTED) == ""


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (image.LABEL_STACK, "stack is other, wanted course"),
        (image.LABEL_BASE, "base image is other"),
        (image.LABEL_LOCK, "lock is other, wanted aa"),
        (image.LABEL_SUITE, "suite is other, wanted bb"),
    ],
)
def test_each_label_that_differs_is_named(label: str, said: str) -> None:
    assert said in image.difference(image_with(**{label: "other"}), WANTED)


def test_an_image_without_labels_is_of_unknown_making() -> None:
    assert "suite is unknown" in image.difference(image.parse(answer(None), "python:3"), WANTED)


def test_a_stand_in_is_known_as_one() -> None:
    assert image_with(**{image.LABEL_STANDIN: "true"}).standin
    assert not image_with().standin


def test_an_image_that_does_not_fit_is_not_used_where_building_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "find", lambda reference: image_with(**{image.LABEL_LOCK: "old"}))
    with pytest.raises(CannotStart, match=r"lock is old, wanted aa.*make image"):
        image.ensure("dgxcert:course", WANTED, build=False, show=lambda text: None)


def test_an_image_that_fits_is_reused_without_building(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "find", lambda reference: image_with())
    monkeypatch.setattr(image, "make", lambda *given: pytest.fail("built"))
    assert image.ensure("dgxcert:course", WANTED, build=True, show=lambda text: None).id == "sha256:77"


def test_a_build_that_fails_names_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(args: list[str], *, timeout_s: float, env: dict[str, str], line: object) -> int:
        for text in ("#9 guard: the stack does not fit this base image:", "#9 ERROR: exit code: 1"):
            line(text)  # type: ignore[operator]
        return 1

    monkeypatch.setattr(image, "docker", lambda: "docker")
    monkeypatch.setattr(command, "stream", fails)
    with pytest.raises(CannotStart, match="guard: the stack does not fit"):
        image.make("dgxcert:course", WANTED, lambda text: None)


def test_the_recipe_is_that_of_this_checkout() -> None:
    made = image.recipe("course", None)
    assert "25.11-py3@sha256:417cbf33" in made.base
    assert image.recipe("current", None).lock_sha256 != made.lock_sha256
    assert image.recipe("course", "mine").base == "mine"
    with pytest.raises(CannotStart, match="Known: course, current"):
        image.recipe("coarse", None)


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def test_a_cli_that_cannot_build_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = 'if [ "$1" = --version ]; then echo "Docker version {}, build 1"; else exit {}; fi'
    program(tmp_path / "new", "docker", version.format("28.2.2", 1))
    program(tmp_path / "old", "docker", version.format("20.10.24+dfsg1", 1))
    image.docker.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path / 'new'}:{tmp_path / 'old'}:/usr/bin:/bin")
    assert image.docker() == str(tmp_path / "old" / "docker")
    image.docker.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path / "new"))
    with pytest.raises(CannotStart, match="without buildx"):
        image.docker()
    image.docker.cache_clear()


def test_only_secrets_that_exist_are_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "ca.pem"))
    assert image._secrets() == []
    (tmp_path / "pip.conf").touch()
    (tmp_path / "ca.pem").touch()
    assert image._secrets() == [f"id=pip_conf,src={tmp_path}/pip.conf", f"id=ca,src={tmp_path}/ca.pem"]
