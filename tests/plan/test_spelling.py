"""A target of make is spelled as a command that the installed dgxcert has, wherever a text names one."""

import re

import pytest
from paths import ROOT
from remedies import commands, texts

from dgxcert.plan import spelling, suite
from dgxcert.plan.spelling import spelled

SPELLED = {
    "Run it again: make validate ONLY=GPU-CUDA.": "Run it again: dgxcert validate --only GPU-CUDA.",
    "`make validate ONLY=A,B`: they err.": "`dgxcert validate --only A,B`: they err.",
    "Alone: make validate ONLY='DECODE-SPEED[bf16]'": "Alone: dgxcert validate --only 'DECODE-SPEED[bf16]'",
    "make burn-in ONLY=BURN-IN MINUTES=30": "dgxcert validate --tier burn-in --only BURN-IN --minutes 30",
    "`make image`, then `make ready RUNTIME=docker`.": "`dgxcert image`, then `dgxcert ready --runtime docker`.",
    "make image STACK=current IMAGE=a:b": "dgxcert image --stack current --name a:b",
    "Name the image: IMAGE=NAME": "Name the image: --image NAME",
    "In `make shell PROFILE=cpu`, run `hf auth whoami`.": "In `dgxcert shell --profile cpu`, run `hf auth whoami`.",
    "env -u CUDA_VISIBLE_DEVICES make validate": "env -u CUDA_VISIBLE_DEVICES dgxcert validate",
    "rebuild: docker image rm dgxcert:course; make image": "rebuild: docker image rm dgxcert:course; dgxcert image",
    "make setup STACK=current VENV=.venv-x": "dgxcert setup --stack current",
    "In the checkout, restore it: make setup": "Restore it: dgxcert setup",
    "or create one: make lock": "or create one: make lock (in a clone of dgxcert)",
    "make sign RUN=results/a KEY=~/.ssh/id": "dgxcert sign results/a --key ~/.ssh/id",
    "make compare RUN=results/b WITH=results/a": "dgxcert compare results/a results/b",
    "make site RESULTS=results OUT=site": "dgxcert site results --out site",
    "make validate NO_BUILD=1": "dgxcert validate --no-build",
    "Name another, or make it yours: sudo chown 0 x": "Name another, or make it yours: sudo chown 0 x",
    "Or use the container (`make validate`).": "Or use the container (`dgxcert validate`).",
}


@pytest.mark.parametrize("text", SPELLED)
def test_a_target_becomes_a_command_with_its_options(text: str) -> None:
    assert spelled(text, installed=True) == SPELLED[text]
    assert spelled(SPELLED[text], installed=True) == SPELLED[text], "what is spelled stays"
    assert spelled(text, installed=False) == text


def test_here_is_a_clone() -> None:
    assert not suite.is_installed()
    assert spelled("make image") == "make image"


def test_every_text_of_the_project_names_commands_that_an_installed_dgxcert_has() -> None:
    steps = [text for text in (*texts.of_requirements(), *texts.of_sources()) if re.search(r"\bmake [a-z]", text.text)]
    assert len(steps) > 150
    found = [(text, spelled(text.text, installed=True)) for text in steps]
    assert not [
        f"{text.place}: {fault}"
        for text, here in found
        for fault in commands.faults_of(here, advises=text.advises)
        if fault not in commands.faults_of(text.text, advises=text.advises) and "{" not in fault
    ]
    own = re.compile(rf"\bmake ({'|'.join(commands.makefile()[0])})\b(?!.*in a clone of dgxcert)")
    assert not [f"{text.place}: {here}" for text, here in found if text.advises and own.search(here)]


def test_every_target_is_a_command_or_for_a_clone() -> None:
    """A variable of a target that a person may type is an option of its command."""
    recipes = re.findall(
        r"^([a-z0-9-]+):.*## (.*)\n((?:\t.*\n)*)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE
    )
    assert len(recipes) > 40
    for target, summary, _ in recipes:
        if spelling.ONLY_IN_A_CLONE.fullmatch(target):
            continue
        names = [name for name in re.findall(r"\b([A-Z_]+)=", summary) if name not in spelling.DROPPED]
        line = " ".join([f"make {target}", *(f"{name}=1" for name in names)])
        command = spelled(line, installed=True)
        assert command.startswith("dgxcert "), line
        assert not commands.faults(command), line
