"""A preview tells what a run would do, download and need."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from suites import example

from dgxcert.container import builder, engine
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite
from dgxcert.plan.options import Options, Weights
from dgxcert.plan.preview import Preview
from dgxcert.profiles import profile as profiles
from dgxcert.report import preview as shown
from dgxcert.runner.preview import downloads, needs

CPU = profiles.load("cpu")
SPARK = profiles.load("dgx-spark")
RECIPE = SimpleNamespace(stack="course", base="nvcr.io/nvidia/pytorch:25.11-py3@sha256:1", labels={})
GPT2 = example.planned("CHECKPOINT-FILES[gpt2]", real_weights=True, group="hub")
DISTILBERT = example.planned("CHECKPOINT-FILES[distilbert-base-uncased]", real_weights=True, group="hub")
DECODE = [example.planned(f"DECODE-SPEED[{case}]", group="benchmarks") for case in ("nf4", "int4")]
DISK = example.planned("DISK-SPACE", takes_s=2.0, group="host", stage="host")


def made(plan: Any, **about: Any) -> Preview:
    usual = {"known": {}, "downloads": downloads.NOTHING, "needs": (("root", "not needed"),)}
    return Preview(**{"options": Options(profile="cpu"), "profile": CPU, "plan": tuple(plan)} | usual | about)


def printed(preview: Preview) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    shown.show(preview, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_groups_reasons_and_times_are_told() -> None:
    left_out = [example.planned(f"GPU-{number}", not_applicable="no GPU") for number in range(3)]
    burn_in = example.planned("BURN-IN", not_run="belongs to tier burn-in")
    lines = printed(made([DISK, *DECODE, burn_in, *left_out], known={"DISK-SPACE": 60.0}))
    assert lines == [
        "Dry run: nothing is measured, nothing is written.",
        "  profile  cpu (any computer with two cores), tier standard",
        "  work     in this environment",
        "",
        "Would run: 3 in about 90 s",
        "  1 as in earlier runs of this machine, the rest as declared",
        "  host        1 requirement  1 case   about 60 s",
        "  benchmarks  1 requirement  2 cases  about 20 s",
        "",
        "Would not run: 4",
        "     3  not applicable, no GPU",
        "     1  belongs to tier burn-in",
        "",
        "Downloads",
        "  nothing  no image is built, and no requirement fetches a model",
        "",
        "Needs",
        "  root  not needed",
    ]


def test_many_reasons_are_counted_together() -> None:
    plan = [DISK, *(example.planned(f"GPU-{number}", not_run=f"reason {number}") for number in range(20))]
    assert "    12  for 12 other reasons" in printed(made(plan))


@pytest.mark.parametrize(
    ("known", "fetched", "told"),
    [
        ({}, downloads.NOTHING, "as declared: this machine has no earlier run of this kind"),
        (dict.fromkeys([DISK.key], 4.0), downloads.NOTHING, "as in earlier runs of this machine"),
        (
            dict.fromkeys([DISK.key], 4.0),
            (("packages", "73 packages"),),
            "as in earlier runs of this machine; downloads and the image build come on top",
        ),
    ],
)
def test_where_the_time_comes_from_is_told(known: Any, fetched: Any, told: str) -> None:
    assert f"  {told}" in printed(made([DISK], known=known, downloads=fetched))


def test_what_is_here_needs_no_registry(tmp_path: Path) -> None:
    options = Options(profile="cpu")
    fetched = (("base image", "dgxcert-standin:amd64: 1.4 GB, here already"),)
    assert dict(needs.read(options, CPU, example.MACHINE, tmp_path, fetched))["network"] == "none"


class Engine:
    """An engine that has some images, and a builder that has built some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images: dict[str, Any] = {}
        self.fits = True
        monkeypatch.setattr(builder, "recipe", lambda _stack, _base: RECIPE)
        monkeypatch.setattr(builder, "find", self.images.get)
        monkeypatch.setattr(builder, "fits", lambda image, _recipe: image is not None and self.fits)


@pytest.fixture
def engine_with(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(monkeypatch)


IN_CONTAINER = Options(profile="cpu", runtime=Runtime.DOCKER)


def test_without_an_image_its_base_and_packages_are_downloaded(engine_with: Engine) -> None:
    (base, what), (packages, many) = downloads.read(IN_CONTAINER, [DISK, *DECODE])
    assert (base, what) == ("base image", f"{RECIPE.base}: not here; the registry knows its size")
    assert packages == "packages"
    assert many.endswith("of the stack course, where the build cache lacks them: the image does not exist")
    lock = (suite.root() / "container" / "stacks" / "course.lock").read_text().splitlines()
    assert many.startswith(f"{sum('==' in line and line[0].isalnum() for line in lock if line)} packages")


def test_an_image_that_fits_is_not_downloaded_and_one_that_does_not_is_built_again(engine_with: Engine) -> None:
    engine_with.images = {"dgxcert:course": example.image_ready().image, RECIPE.base: example.image_ready().image}
    builder.find = engine_with.images.get  # type: ignore[assignment]  # restored with the fixture
    assert downloads.read(IN_CONTAINER, DECODE) == downloads.NOTHING
    engine_with.fits = False
    (_, base), (_, packages) = downloads.read(IN_CONTAINER, DECODE)
    assert base == f"{RECIPE.base}: 20.0 GB, here already"
    assert "the image does not fit this checkout" in packages


def test_checkpoints_are_named_with_their_size_where_it_is_known() -> None:
    hub = Options(profile="cpu", weights=Weights.HUB)
    assert downloads.read(hub, [GPT2, DISTILBERT]) == (
        ("checkpoint", "gpt2: 548 MB, where the cache lacks it"),
        ("checkpoint", "distilbert-base-uncased: of unknown size, where the cache lacks it"),
    )
    reach = example.planned("HUB-REACHABLE", group="hub")
    assert downloads.read(hub, [reach]) == (
        ("checkpoint", "hf-internal-testing/tiny-random-gpt2: 0.5 MB, where the cache lacks it"),
    )
    not_run = GPT2.model_copy(update={"not_run": "needs real checkpoints"})
    assert downloads.read(hub, [not_run]) == downloads.NOTHING


def test_needs_are_told_with_what_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/hf")
    monkeypatch.setattr(engine, "docker", lambda: "/usr/bin/docker")
    monkeypatch.setattr(engine, "compose", lambda: ("/usr/bin/docker", "compose"))
    monkeypatch.setattr(engine, "endpoint", lambda: "unix:///var/run/docker.sock")
    fetched = (("base image", "nvcr.io/nvidia/pytorch:25.11"), ("packages", "73"), ("checkpoint", "gpt2"))
    options = Options(profile="dgx-spark", runtime=Runtime.DOCKER)
    told = dict(needs.read(options, SPARK, example.MACHINE, tmp_path / "not" / "there", fetched))
    assert told["GPUs"] == "1 as profile dgx-spark says; found: none"
    assert told["disk"].startswith("60 GiB free; at ")
    assert told["engine"] == "/usr/bin/docker and /usr/bin/docker compose, at unix:///var/run/docker.sock"
    assert told["network"] == "nvcr.io, the package index of pip's settings, mirror.example"
    assert told["root"].startswith("not needed")


def test_a_machine_without_an_engine_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none() -> str:
        raise CannotStart("Wanted a Docker CLI that builds with BuildKit, found none.", "Install it.")

    monkeypatch.setattr(engine, "docker", none)
    told = dict(needs.read(IN_CONTAINER, CPU, example.MACHINE, tmp_path, ()))
    assert told["engine"] == "Wanted a Docker CLI that builds with BuildKit, found none."
    assert told["network"] == "none"
