"""The next command fits how a run ended, and is one that this dgxcert knows."""

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT
from suites.certified import events
from suites.example import finished, opened, planned
from typer.main import get_command

from dgxcert.cli.app import app
from dgxcert.judgement.requirement import Tier
from dgxcert.judgement.verdict import Verdict
from dgxcert.machine.identity import Gpu
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import Outcome
from dgxcert.plan import suite
from dgxcert.plan.options import Options, Weights
from dgxcert.profiles import profile as profiles
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report.terminal.next_step import Here, next_step

FOLDER = "results/2026-11-23T18-40-12Z-spark-07"
GPU = Gpu(index=0, product="NVIDIA H200", uuid="GPU-1", compute_capability="9.0")


def ended(*outcomes: Outcome, profile: str = "h200", **options: Any) -> Run:
    """A run of requirements A, B, C… with these outcomes, and its options."""
    keys = [f"{chr(65 + at)}-SPEED[bf16]" for at in range(len(outcomes))]
    plan = [planned(key) for key in keys]
    endings = [
        finished(key, outcome) for key, outcome in zip(keys, outcomes, strict=True) if outcome is not Outcome.NOT_RUN
    ]
    begun = opened(*plan, options=Options(profile=profile, **options), profile=profiles.load(profile))
    machine = begun.machine.model_copy(update={"gpus": () if profile == "cpu" else (GPU,)})
    return runs.assemble([begun.model_copy(update={"machine": machine}), *endings], "run")


def step(run: Run, folder: str = FOLDER, **here: bool) -> str:
    return next_step(run, folder, Here(**here))


PASSED, FAILED, INCONCLUSIVE, NOT_RUN = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_RUN
DOCKER = {"runtime": Runtime.DOCKER}
AUTO = {"runtime_because": "a rehearsal needs no container"}
SITUATIONS: dict[str, tuple[Run, bool, str]] = {
    "inconclusive": (
        ended(PASSED, INCONCLUSIVE),
        True,
        f"To measure what is left: make validate RESUME={FOLDER}",
    ),
    "interrupted": (ended(PASSED, NOT_RUN), True, f"To measure what is left: make validate RESUME={FOLDER}"),
    "inconclusive, on the current stack": (
        ended(PASSED, INCONCLUSIVE, stack="current", **DOCKER),
        True,
        f"To measure what is left: make validate RESUME={FOLDER} STACK=current",
    ),
    "inconclusive for the third time": (
        ended(PASSED, INCONCLUSIVE, **DOCKER),
        False,
        "Once that is mended, to begin again: make validate PROFILE=h200",
    ),
    "failed": (
        ended(PASSED, FAILED, **DOCKER),
        False,
        "Once that is mended, to measure it again: make validate PROFILE=h200 ONLY='B-SPEED[bf16]'",
    ),
    "failed, in a rehearsal": (
        ended(FAILED, profile="cpu", **AUTO),
        False,
        "Once that is mended, to measure it again: make validate PROFILE=cpu ONLY='A-SPEED[bf16]'",
    ),
    "failed, and the rest not run": (
        ended(FAILED, NOT_RUN, **DOCKER),
        True,
        "Once that is mended, to measure it again: make validate PROFILE=h200 ONLY='A-SPEED[bf16]'",
    ),
    "failed everywhere": (ended(*[FAILED] * 5), False, f"To read all of it: less {FOLDER}/summary.md"),
    "failed in the burn-in": (
        ended(FAILED, tier=Tier.BURN_IN, minutes=480, **DOCKER),
        False,
        "Once that is mended, to measure it again: "
        "make validate PROFILE=h200 TIER=burn-in MINUTES=480 ONLY='A-SPEED[bf16]'",
    ),
    "partial": (
        ended(PASSED, only=("A-SPEED",), **DOCKER),
        False,
        "To run all of it: make validate PROFILE=h200",
    ),
    "rehearsed": (ended(PASSED, profile="cpu"), False, "To certify a DGX, on that machine: make validate"),
    "rehearsed on a GPU": (ended(PASSED), False, f"To read all of it: less {FOLDER}/summary.md"),
    "certified": (
        runs.assemble(events(), "run"),
        False,
        f"To sign it: make sign RUN={FOLDER} KEY=~/.ssh/id_ed25519",
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_it_fits_how_the_run_ended(situation: str) -> None:
    run, waits, wanted = SITUATIONS[situation]
    assert step(run, waits=waits) == wanted


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_command_exists_with_its_options_in_a_clone_and_in_a_wheel(
    situation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, waits, _ = SITUATIONS[situation]
    target, *variables = shlex.split(step(run, waits=waits).rpartition(": ")[2])
    installed(monkeypatch)
    words = shlex.split(step(run, waits=waits).rpartition(": ")[2])
    if target == "less":
        assert words == [target, *variables]
        return
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{variables[0]}:", makefile, re.MULTILINE)
    typed = re.search(r"TYPED = ((?:.*\\\n)*.*)", makefile)
    assert typed is not None
    assert {word.partition("=")[0] for word in variables[1:]} <= set(typed[1].split())
    assert words[0] == "dgxcert"
    command: Any = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words[2:] if word.startswith("--")} <= known
    assert "--resume" not in words or words[2:] == ["--resume", FOLDER], "a run is continued with its own options"


def test_what_is_not_usual_of_a_run_is_part_of_the_next_one() -> None:
    options = {"stack": "current", "site": "site/spark.yaml", "weights": Weights.HUB, "base": "b:1", "image": "i:1"}
    run = ended(FAILED, build=False, **options, **DOCKER)
    assert step(run, "kept here/run").partition(": ")[2] == (
        "make validate PROFILE=h200 NO_BUILD=1 STACK=current IMAGE=i:1 BASE_IMAGE=b:1 WEIGHTS=hub SITE=site/spark.yaml "
        "RESULTS='kept here' ONLY='A-SPEED[bf16]'"
    )


def installed(monkeypatch: pytest.MonkeyPatch, *, on_path: bool = True) -> None:
    """As if this dgxcert were an installed wheel, which a shell finds by its name or does not."""
    monkeypatch.setattr(suite, "is_installed", lambda: True)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: ("/x" if on_path else None) if name == "dgxcert" else which(name))


def test_an_installed_wheel_is_told_its_own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    assert step(ended(PASSED, INCONCLUSIVE), waits=True) == (
        f"To measure what is left: dgxcert validate --resume {FOLDER}"
    )


def test_outside_the_clone_make_would_find_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch)
    monkeypatch.setattr(suite, "is_installed", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert " dgxcert validate --resume " in step(ended(PASSED, INCONCLUSIVE), waits=True)


def test_a_program_that_is_not_on_the_path_is_called_by_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed(monkeypatch, on_path=False)
    program = tmp_path / "bin here" / "dgxcert"
    monkeypatch.setattr(sys, "argv", [str(program), "validate"])
    asked = step(ended(PASSED, INCONCLUSIVE), waits=True)
    assert asked.endswith(f": {sys.executable} -m dgxcert validate --resume {FOLDER}")
    program.parent.mkdir()
    program.touch()
    assert step(ended(PASSED, INCONCLUSIVE), waits=True).endswith(f": '{program}' validate --resume {FOLDER}")


@pytest.mark.parametrize("outcome", [FAILED, INCONCLUSIVE])
def test_what_must_be_done_on_another_machine_says_on_which(outcome: Outcome) -> None:
    assert " again, on spark-07: make validate" in step(ended(PASSED, outcome, **DOCKER), same_machine=False)


def test_a_certified_run_that_is_signed_is_not_signed_again(tmp_path: Path) -> None:
    (tmp_path / "certificate.json").write_text("{}", encoding="utf-8")
    run = runs.assemble(events(), "run")
    assert run.judgement.verdict is Verdict.CERTIFIED
    assert step(run, str(tmp_path)) == f"To see what has changed since: make drift FILE={tmp_path}/certificate.json"


def test_what_another_suite_certified_is_not_signed_here() -> None:
    assert step(runs.assemble(events(), "run"), ours=False) == f"To read all of it: less {FOLDER}/summary.md"


@pytest.mark.parametrize("name", ["id_ecdsa", "id_rsa"])
def test_the_key_that_is_there_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / name).touch()
    assert step(runs.assemble(events(), "run")).endswith(f"KEY=~/.ssh/{name}")


def test_where_there_is_a_screen_the_page_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", str(tmp_path))
    opener = tmp_path / "xdg-open"
    opener.write_text("#!/bin/sh\n", encoding="utf-8")
    opener.chmod(0o755)
    assert step(ended(PASSED), str(tmp_path)) == f"To read all of it: less {tmp_path}/summary.md"
    (tmp_path / "report.html").touch()
    assert step(ended(PASSED), str(tmp_path)) == f"To read all of it: xdg-open {tmp_path}/report.html"
