"""NVIDIA's container: which release of the PyTorch image this process runs in, as the image itself says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Inconclusive

RELEASE = "NVIDIA_PYTORCH_VERSION"
BUILD = "NVIDIA_BUILD_ID"
STANDIN = "DGXCERT_STANDIN"

COURSE_RELEASE = Limit(
    name="release of the course's container",
    equals="25.11",
    unit="",
    source="module 2.5 of the course is written for NGC container nvcr.io/nvidia/pytorch:25.11-py3",
)
USE_THE_CONTAINER = "Work in the container: make ready RUNTIME=docker"


@dataclass(frozen=True)
class Ngc:
    """Release (year and month) and build of NVIDIA's PyTorch image."""

    release: str
    build: str

    @property
    def says(self) -> str:
        """How it is known, as evidence."""
        return f"{RELEASE} and {BUILD} ({self.build}) of this environment"


def read() -> Ngc:
    """The image that this process runs in; raises what `parse` raises."""
    return parse(os.environ)


def parse(environment: Mapping[str, str]) -> Ngc:
    """What the variables of NVIDIA's image say; raises Inconclusive outside of it, and on a stand-in for it."""
    if STANDIN in environment:
        raise Inconclusive(
            "the image stands on a stand-in for NVIDIA's, which rehearses and proves nothing", USE_THE_CONTAINER
        )
    if not environment.get(RELEASE):
        raise Inconclusive(
            f"the work is done outside NVIDIA's container ({RELEASE} is not set), so that one was not looked at",
            USE_THE_CONTAINER,
        )
    return Ngc(environment[RELEASE], environment.get(BUILD, "unknown"))
