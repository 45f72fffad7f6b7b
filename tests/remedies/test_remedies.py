"""Every command that dgxcert prints exists where it is typed, and destroys nothing."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from needs import missing
from remedies import commands, hf_client, texts

from dgxcert.machine.trait import Trait


def wrong(faulty: list[tuple[str, list[str]]]) -> str:
    """The faults, one line for each."""
    return "\n".join(f"{place}: {fault}" for place, faults in faulty for fault in faults)


def test_every_step_of_every_requirement_can_be_typed() -> None:
    steps = list(texts.of_requirements())
    assert len(steps) > 250
    assert not wrong([(step.place, commands.faults_of_a_requirement(step.text)) for step in steps])


def test_every_advice_in_the_code_can_be_typed() -> None:
    found = list(texts.of_sources())
    assert sum(text.advises for text in found) > 300
    assert not wrong([(text.place, commands.faults_of(text.text, advises=text.advises)) for text in found])


def test_every_command_in_the_pages_can_be_typed() -> None:
    pages = list(texts.of_pages())
    assert len(pages) > 60
    faults = [
        (page.place, commands.faults_of(page.text, advises=False)) for page in pages if page.text != "`make clean`"
    ]
    assert not wrong(faults)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Set it up: make set-up", "no target set-up"),
        ("Set it up: make setup STAK=course", "reads no variable STAK"),
        ("Set it up again: make clean setup", "removes an environment"),
        ("Set it up: make setup VENV={sys.prefix}", "a path that the run did not make"),
        ("Try another torch: make setup STACK=current", "no stack changes torch"),
        ("Run `dgxcert validat --only X` again.", "no command validat"),
        ("Run it alone: dgxcert validate --just X", "no option --just"),
        ("Remove models: hf cache delete", "stack current has no command hf cache delete"),
        ("Remove models: hf cache rm (stack course)", "stack course has no command hf cache rm"),
        ("Remove images: docker system prune", "removes what others keep"),
        ("Free space: sudo rm -rf /var/lib/docker", "removes without a question"),
        ("Free space (rm -r ~/models).", "removes without a question"),
        ("Then: sudo swapoff -a && sudo swapon -a", "moves what is swapped out"),
        ("End it: kill -9 PID", "ends programs"),
        ("Install it: sudo apt install dockerio", "has a package dockerio"),
        ("Install it: sudo apt install docker.io", "needs a condition: Without DGX OS"),
        ("Remove it: sudo apt purge docker.io", "removes packages"),
        ("Shut down and reseat the card.", "needs a condition: For a GPU on a card"),
        (Trait.SPARK.only("Reseat the card."), "needs a condition: For a GPU on a card"),
        ("Remove it: python -m pip uninstall transformers", "removes a package"),
        ("Run `python -c 'import torch; print(torch.'`.", "does not parse"),
        ("Run: python -m dgxcert.probes.hubb", "no module dgxcert.probes.hubb"),
        ("Reset it: nvidia-smi --gpu-resett", "no option --gpu-resett"),
        ("Start it: sudo systemctl start dockerd", "no unit dockerd"),
        ("Watch it: nvtop -d 1", "nvtop is in no table"),
        ("Make room: git reset --hard", "discards changes"),
        ("Start again: python3 -m venv --clear .venv", "empties an environment"),
    ],
)
def test_a_bad_remedy_is_found_wherever_it_stands(text: str, fault: str) -> None:
    assert fault in "\n".join(commands.faults_of(text))
    for code in (f"raise Inconclusive('x', {text!r})", f"evidence.advise({text!r})", f"REMEDY = ({text!r},)"):
        (found,) = [each for each in texts.of_module(code, "planted.py") if each.text == text]
        assert found.advises
        assert fault in "\n".join(commands.faults_of(found.text))


@pytest.mark.parametrize(
    "text",
    [
        "Remove those that nobody needs: hf cache delete (stack course) or hf cache rm MODEL (stack current)",
        Trait.OTHER_OS.only("Install it, on Ubuntu and Debian: sudo apt install docker.io"),
        Trait.CARD.only("Shut down, reseat the card, start again."),
        "Compare `docker info --format '{{.Architecture}}'` with `uname -m`.",
        "Log in: the limit for users is higher. Create a token, then log in: hf auth login",
        "Look at the owner: ls -l ~/.cache; then change it: the owner must be this user.",
    ],
)
def test_a_good_remedy_has_no_fault(text: str) -> None:
    assert commands.faults_of(text) == []


def test_a_computed_part_stays_visible_in_a_command() -> None:
    code = 'raise Inconclusive("no lock", f"Set it up: make setup VENV={sys.prefix}")'
    (text,) = [each for each in texts.of_module(code, "planted.py") if "make" in each.text]
    assert "holds a path that the run did not make" in "\n".join(commands.faults_of(text.text))


@pytest.mark.parametrize(
    ("step", "fault"),
    [("Run it: python -m pip check", "name it"), ("List them: dgxcert list", "name the target of make")],
)
def test_a_step_of_a_requirement_says_where_it_is_typed(step: str, fault: str) -> None:
    assert fault in "\n".join(commands.faults_of_a_requirement(step))


def test_the_table_holds_the_commands_of_the_installed_client() -> None:
    installed = version("huggingface_hub")
    recorded = {client["version"]: client["commands"] for client in commands.TABLES["hf"].values()}
    assert installed in recorded, f"record {installed}: python tests/remedies/hf_client.py {sys.prefix}/bin/hf"
    assert recorded[installed] == hf_client.commands(str(Path(sys.executable).parent / "hf"))


def test_debian_knows_every_package_that_a_remedy_installs() -> None:
    if shutil.which("apt-cache") is None:
        missing("apt-cache", "Run this on Debian or Ubuntu.")
    names = commands.TABLES["apt"]["packages"]["debian_and_ubuntu"]["names"]
    policy = subprocess.run(["apt-cache", "policy", *names], capture_output=True, text=True, check=True).stdout
    known = {line.rstrip(":") for line in policy.splitlines() if line and not line.startswith(" ")}
    if not known:
        missing("apt's lists of packages", "Download them: apt-get update")
    assert set(names) <= known
