"""The image is reused only where its labels say that it was built from this checkout, and built only when allowed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from paths import ROOT

from dgxcert import command
from dgxcert.container import builder, builds, engine, pip_settings
from dgxcert.container.builds import Build
from dgxcert.container.pip_settings import PipSettings
from dgxcert.machine import image
from dgxcert.machine.image import Image, Recipe
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite

WANTED = Recipe(
    stack="course", base="base@sha256:1", base_digest="sha256:1", lock_sha256="a", suite_sha256="b", recipe_sha256="c"
)

Existing = Callable[[Image | None], None]


def image_with(**changed: str) -> Image:
    labels = {**WANTED.labels, **changed}
    answer = json.dumps([{"Id": "sha256:77", "Architecture": "arm64", "Config": {"Labels": labels}}])
    return image.parse(answer, "dgxcert:course", image.LAST_STEP)


@pytest.fixture(autouse=True)
def _docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "docker", lambda: "docker")
    monkeypatch.setattr(engine, "endpoint", lambda: "")


@pytest.fixture
def existing(monkeypatch: pytest.MonkeyPatch) -> Existing:
    """Sets the image that the engine has; this checkout wants WANTED."""

    def set_image(existing_image: Image | None) -> None:
        monkeypatch.setattr(builder, "find", lambda reference: existing_image)
        monkeypatch.setattr(builder, "recipe", lambda stack, base: WANTED)

    return set_image


BASE_LAYERS = ("sha256:b1", "sha256:b2")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def kept(image: Image, *, on_base: bool = True) -> Image:
    """The image, as one that an earlier run has built."""
    assert builds.keep(Build(id=image.id, labels=WANTED.labels, on_base=on_base)) == ""
    return image


def ensure(*, build: bool = True) -> Image:
    return builder.ensure("dgxcert:course", "course", "", build=build, show=lambda text: None)


def test_an_outdated_image_is_not_used_where_building_is_forbidden(existing: Existing) -> None:
    existing(image_with(**{image.LABEL_LOCK: "old"}))
    with pytest.raises(CannotStart, match=r"lock is old, wanted a.*make image"):
        ensure(build=False)


def test_a_missing_image_is_not_built_where_building_is_forbidden(existing: Existing) -> None:
    existing(None)
    with pytest.raises(CannotStart, match="does not exist yet"):
        ensure(build=False)


RECIPE = ("container/Dockerfile", "container/guard.py", "container/entry.py", "pyproject.toml")


@pytest.mark.parametrize("changed", RECIPE)
def test_the_recipe_covers_every_file_that_decides_what_is_in_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """After a fix of the guard, an image that the faulty guard let through must not be reused."""
    for name in (*RECIPE, "container/stacks/course.lock"):
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
def test_an_image_reports_whether_its_base_is_the_pinned_one(
    existing: Existing, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    existing(kept(image_with()))
    name = "mirror/pytorch@sha256:1" if pinned else "mirror/pytorch@sha256:2"
    monkeypatch.setattr(builder, "_pinned_base", lambda container: name)
    assert (ensure().built_here, ensure().on_pinned_base) == (True, pinned)


def test_an_image_that_no_build_of_ours_made_is_built_again_whatever_its_labels(
    existing: Existing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`FROM dgxcert:course`, further steps and `CMD ["--help"]` inherit every label."""
    existing(image_with())
    with pytest.raises(CannotStart, match=r"no record of having made it, and labels can be inherited.*make image"):
        ensure(build=False)
    kept(image_with().model_copy(update={"id": "sha256:other"}))
    builds.keep(Build(id="sha256:77", labels={**WANTED.labels, image.LABEL_LOCK: "old"}, on_base=True))
    made: list[str] = []
    monkeypatch.setattr(builder, "make", lambda *_: made.append("sha256:77") or "sha256:77")
    monkeypatch.setattr(builder, "_begins_with", lambda *_: True)
    monkeypatch.setattr(builder, "_pinned_base", lambda container: "base@sha256:1")
    assert (ensure().proven, made) == (True, ["sha256:77"])
    assert (ensure(build=False).proven, made) == (True, ["sha256:77"]), "the second time it is known"


def test_a_tag_that_was_moved_during_the_build_is_refused(existing: Existing, monkeypatch: pytest.MonkeyPatch) -> None:
    existing(image_with())
    monkeypatch.setattr(builder, "make", lambda *_: "sha256:what-was-built")
    with pytest.raises(CannotStart, match="still does not fit"):
        ensure()


@pytest.mark.parametrize(
    ("layers", "base", "begins"),
    [
        ((*BASE_LAYERS, "sha256:o"), BASE_LAYERS, True),
        (BASE_LAYERS, BASE_LAYERS, False),
        (("sha256:o", *BASE_LAYERS), BASE_LAYERS, False),
        (("sha256:b1", "sha256:forged", "sha256:o"), BASE_LAYERS, False),
        ((*BASE_LAYERS, "sha256:o"), (), False),
        ((*BASE_LAYERS, "sha256:o"), None, False),
    ],
)
def test_an_image_is_on_a_base_whose_layers_are_its_first_ones(
    monkeypatch: pytest.MonkeyPatch, layers: tuple[str, ...], base: tuple[str, ...] | None, begins: bool
) -> None:
    stored = None if base is None else image_with().model_copy(update={"layers": base})
    monkeypatch.setattr(builder, "find", lambda reference: stored)
    monkeypatch.setattr(command, "stream", lambda *_, **__: 1)
    built = image_with().model_copy(update={"layers": layers})
    assert builder._begins_with(built, "base@sha256:1", lambda text: None) is begins


@pytest.mark.parametrize(
    ("id", "on_base", "proven"), [("sha256:77", True, True), ("sha256:77", False, False), ("sha256:1", True, False)]
)
def test_only_its_own_build_proves_an_image(
    monkeypatch: pytest.MonkeyPatch, id: str, on_base: bool, proven: bool
) -> None:
    monkeypatch.setattr(builder, "_pinned_base", lambda container: "base@sha256:1")
    build = Build(id=id, labels=WANTED.labels, on_base=on_base)
    assert builder.proved(image_with(), build).proven is proven
    assert not builder.proved(image_with(), None).proven


def test_a_state_folder_that_is_damaged_or_read_only_costs_a_build_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Build(id="sha256:77", labels=WANTED.labels, on_base=True)
    assert builds.keep(build) == ""
    assert builds.find("sha256:77", WANTED.labels) == build
    builds.file().write_text("{", encoding="utf-8")
    assert builds.find("sha256:77", WANTED.labels) is None
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert "the next run builds the image again" in builds.keep(build)


def test_an_image_of_this_checkout_is_reused_without_building(
    existing: Existing, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing(kept(image_with()))
    monkeypatch.setattr(builder, "make", lambda *_: pytest.fail("built"))
    assert ensure().id == "sha256:77"


def test_an_image_that_still_does_not_fit_after_the_build_is_refused(
    existing: Existing, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing(image_with(**{image.LABEL_SUITE: "forged"}))
    monkeypatch.setattr(builder, "make", lambda *_: "sha256:77")
    with pytest.raises(CannotStart, match="still does not fit"):
        ensure()


def printing(*lines: str) -> Callable[..., int]:
    """A build that prints these lines and fails."""

    def stream(args: list[str], *, timeout_s: float, env: dict[str, str], line: object) -> int:
        for text in lines:
            line(text)  # type: ignore[operator]
        return 1

    return stream


@pytest.mark.parametrize(
    ("lines", "reason"),
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
        (["Step 1", "no such file."], "no such file"),
        ([], "no output"),
    ],
)
def test_a_failed_build_names_the_reason(lines: list[str], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "stream", printing(*lines))
    with pytest.raises(CannotStart) as error:
        builder.make("dgxcert:course", WANTED, lambda text: None)
    assert error.value.problem == f"Image dgxcert:course could not be built: {reason}."


def test_the_recipe_is_that_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "find", lambda reference: None)
    recipe = builder.recipe("course", "")
    assert "25.11-py3@sha256:417cbf33" in recipe.base
    assert recipe.base_digest == recipe.base.partition("@")[2]
    assert builder.recipe("current", "").lock_sha256 != recipe.lock_sha256
    with pytest.raises(CannotStart, match="Known: course, current"):
        builder.recipe("coarse", "")


def test_a_base_without_a_digest_is_known_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "find", lambda reference: image_with())
    assert builder.recipe("course", "mine:1").base_digest == "sha256:77"
    monkeypatch.setattr(builder, "find", lambda reference: None)
    assert builder.recipe("course", "mine:1").base_digest == ""


def test_only_secrets_that_exist_are_passed_and_none_by_a_file_or_an_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pip_settings, "read", lambda: PipSettings("", ""))
    assert builder._secrets() == ([], {})
    settings = "[global]\nindex-url = https://me:secret@pypi.example/simple\n"
    monkeypatch.setattr(pip_settings, "read", lambda: PipSettings(settings, "/ca.pem"))
    options, environment = builder._secrets()
    assert options == ["--secret", "id=pip_conf,env=DGXCERT_PIP_CONF", "--secret", "id=ca,src=/ca.pem"]
    assert environment == {"DGXCERT_PIP_CONF": settings}


def test_a_proxy_is_passed_by_name_and_never_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy:3128")
    arguments = builder._arguments(WANTED)
    assert "HTTPS_PROXY" in arguments
    assert not any("secret" in argument for argument in arguments)
