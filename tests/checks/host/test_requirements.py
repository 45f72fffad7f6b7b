"""Every requirement of the host has a reason and a remedy of its own, and a test of each way that it can end."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from suites.host_machine import DECLARED, HostMachine

from dgxcert.judgement.requirement import Stage

COMMAND = re.compile(
    r"(?:: |`|; |&& |\()"
    r"(?:(?:sudo )?(?:apt|cat|df|dmesg|docker|free|journalctl|lsblk|make|nvidia-ctk|ps|swapoff|timedatectl) [\w/.-]"
    r"|(?:sudo )?dmesg\b|nvidia-smi\b)"
)
"""A command to type, after a colon or quoted: a program with its arguments; nvidia-smi and dmesg need none."""

GATES = {"DOCKER-REACHABLE", "DOCKER-ROOTFUL", "DOCKER-ARCHITECTURE", "DISK-SPACE", "IMAGE-ARCHITECTURE"}
"""Without these no image is built and no container started: the result would be worthless, or fill the disk."""


def case_modules() -> list[ModuleType]:
    """The test modules of this folder that hold FAILURES and INCONCLUSIVE."""
    modules = []
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        if "FAILURES" in file.read_text(encoding="utf-8") and file != Path(__file__):
            spec = importlib.util.spec_from_file_location(f"rows_of_{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            modules.append(importlib.util.module_from_spec(spec))
            spec.loader.exec_module(modules[-1])
    return modules


@pytest.mark.parametrize("id", DECLARED)
def test_a_requirement_of_the_host_has_a_stage_a_reason_and_a_remedy(id: str) -> None:
    requirement = DECLARED[id].requirement
    assert requirement.stage in {Stage.HOST, Stage.IMAGE}
    assert len(requirement.why.split()) >= 8, "a sentence"
    assert any(COMMAND.search(step) for step in requirement.remedy), "no command to type"


@pytest.mark.parametrize("step", ["Run: docker version", "Run `docker info --format x`.", "Read: nvidia-smi"])
def test_a_program_with_its_arguments_is_a_command(step: str) -> None:
    assert COMMAND.search(step)


@pytest.mark.parametrize("step", ["Look at docker closely.", "Restart it: docker", "Update the `docker` package."])
def test_the_mere_name_of_a_program_is_no_command(step: str) -> None:
    assert not COMMAND.search(step)


def test_only_these_requirements_wait_for_the_image() -> None:
    ids = {name for name, check in DECLARED.items() if check.requirement.stage is Stage.IMAGE}
    assert ids == {"IMAGE-ARCHITECTURE", "CONTAINER-COMPUTES"}


def test_gates_are_the_requirements_that_a_container_depends_on() -> None:
    assert {name for name, check in DECLARED.items() if check.requirement.gate} == GATES


def test_no_two_requirements_of_the_host_have_the_same_reason_or_remedy() -> None:
    assert len({check.requirement.why for check in DECLARED.values()}) == len(DECLARED)
    assert len({check.requirement.remedy for check in DECLARED.values()}) == len(DECLARED)


def test_a_healthy_machine_passes_every_check(host: HostMachine) -> None:
    host.require_passed(*DECLARED)


def test_every_requirement_of_the_host_is_tested_as_failed_and_as_inconclusive() -> None:
    modules = case_modules()
    assert {row[0] for module in modules for row in module.INCONCLUSIVE} == set(DECLARED)
    # A running notebook is no fault of the machine, and a crash may have been repaired: these two never fail.
    assert {row[0] for module in modules for row in module.FAILURES} == set(DECLARED) - {"HOST-GPU-IDLE", "LAST-BOOT"}
