"""The image is reused only where its labels say that it was built from this checkout, and built only when allowed."""

import json
import shutil
from pathlib import Path

import pytest
from paths import ROOT

from dgxcert import command
from dgxcert.container import builder, engine, pip_settings
from dgxcert.container.pip_settings import PipSettings
from dgxcert.machine import image
from dgxcert.machine.image import Image, Recipe
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite

WANTED = Recipe(
    stack="course", base="base@sha256:1", base_digest="sha256:1", lock_sha256="a", suite_sha256="b", recipe_sha256="c"
)


def image_with(**changed: str) -> Image:
    labels = {**WANTED.labels, **changed}
    answer = json.dumps([{"Id": "sha256:77", "Architecture": "arm64", "Config": {"Labels": labels}}])
    return image.parse(answer, "dgxcert:course", image.LAST_STEP)


@pytest.fixture(autouse=True)
def _a_docker_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "docker", lambda: "docker")
    monkeypatch.setattr(engine, "endpoint", lambda: "")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch):
    """Say which image the engine has, and that this checkout wants WANTED."""

    def set_image(found: Image | None) -> None:
        monkeypatch.setattr(builder, "find", lambda reference: found)
        monkeypatch.setattr(builder, "recipe", lambda stack, base: WANTED)

    return set_image


def ensure(*, build: bool = True) -> Image:
    return builder.ensure("dgxcert:course", "course", "", build=build, show=lambda text: None)


def test_an_image_that_does_not_fit_is_not_used_where_building_is_forbidden(there) -> None:
    there(image_with(**{image.LABEL_LOCK: "old"}))
    with pytest.raises(CannotStart, match=r"lock is old, wanted a.*make image"):
        ensure(build=False)


def test_an_image_that_is_not_there_is_not_made_where_building_is_forbidden(there) -> None:
    there(None)
    with pytest.raises(CannotStart, match="does not exist yet"):
        ensure(build=False)


@pytest.mark.parametrize("changed", ["container/Dockerfile", "container/guard.py", "pyproject.toml"])
def test_all_that_decides_what_is_in_the_image_is_in_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """A mended guard must not leave the images in use that the faulty one let through."""
    for name in ("container/Dockerfile", "container/guard.py", "pyproject.toml", "container/stacks/course.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(suite, "root", lambda: tmp_path)
    before = builder.recipe("course", "base@sha256:1")
    with (tmp_path / changed).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    after = builder.recipe("course", "base@sha256:1")
    assert after.recipe_sha256 != before.recipe_sha256
    assert after.model_copy(update={"recipe_sha256": before.recipe_sha256}) == before


@pytest.mark.parametrize("pinned", [True, False])
def test_an_image_says_whether_its_base_is_the_pinned_one(there, monkeypatch: pytest.MonkeyPatch, pinned: bool) -> None:
    there(image_with())
    name = "mirror/pytorch@sha256:1" if pinned else "mirror/pytorch@sha256:2"
    monkeypatch.setattr(builder, "_pinned_base", lambda container: name)
    assert ensure().on_pinned_base is pinned


def test_an_image_that_fits_is_reused_without_building(there, monkeypatch: pytest.MonkeyPatch) -> None:
    there(image_with())
    monkeypatch.setattr(builder, "make", lambda *given: pytest.fail("built"))
    assert ensure().id == "sha256:77"


def test_an_image_that_was_built_and_still_does_not_fit_is_refused(there, monkeypatch: pytest.MonkeyPatch) -> None:
    there(image_with(**{image.LABEL_SUITE: "forged"}))
    monkeypatch.setattr(builder, "make", lambda *given: None)
    with pytest.raises(CannotStart, match="still does not fit"):
        ensure()


def printing(*lines: str):
    def stream(args: list[str], *, timeout_s: float, env: dict[str, str], line: object) -> int:
        for text in lines:
            line(text)  # type: ignore[operator]
        return 1

    return stream


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            [
                "#9 guard: FAILED the stack does not fit this base image:",
                "#9 guard| torch was 2 and is 3",
                "#9 ERROR: 1",
            ],
            "guard: the stack does not fit this base image; torch was 2 and is 3",
        ),
        (["#2 ERROR: failed to resolve", "something"], "#2 ERROR: failed to resolve"),
        (["Step 1", "last words."], "last words"),
        ([], "no output"),
    ],
)
def test_a_build_that_fails_says_why(lines: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "stream", printing(*lines))
    with pytest.raises(CannotStart) as error:
        builder.make("dgxcert:course", WANTED, lambda text: None)
    assert error.value.problem == f"Image dgxcert:course could not be built: {said}."


def test_the_recipe_is_that_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "find", lambda reference: None)
    made = builder.recipe("course", "")
    assert "25.11-py3@sha256:417cbf33" in made.base
    assert made.base_digest == made.base.partition("@")[2]
    assert builder.recipe("current", "").lock_sha256 != made.lock_sha256
    with pytest.raises(CannotStart, match="Known: course, current"):
        builder.recipe("coarse", "")


def test_a_base_without_a_digest_is_known_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "find", lambda reference: image_with())
    assert builder.recipe("course", "mine:1").base_digest == "sha256:77"
    monkeypatch.setattr(builder, "find", lambda reference: None)
    assert builder.recipe("course", "mine:1").base_digest == ""


def test_only_secrets_that_exist_are_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_settings, "read", lambda: PipSettings("", ""))
    assert builder._secrets(tmp_path) == []
    monkeypatch.setattr(pip_settings, "read", lambda: PipSettings("[global]\n", "/ca.pem"))
    secrets = ["--secret", f"id=pip_conf,src={tmp_path}/pip.conf", "--secret", "id=ca,src=/ca.pem"]
    assert builder._secrets(tmp_path) == secrets
    assert (tmp_path / "pip.conf").stat().st_mode & 0o777 == 0o600


def test_a_proxy_is_passed_by_name_and_never_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy:3128")
    arguments = builder._arguments(WANTED)
    assert "HTTPS_PROXY" in arguments
    assert not any("secret" in word for word in arguments)
