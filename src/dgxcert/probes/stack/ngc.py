"""NVIDIA's container: the release of the PyTorch image that this process runs in, by the variables of the image."""

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
    def source(self) -> str:
        """The variables that name them."""
        return f"{RELEASE} and {BUILD} ({self.build}) of this environment"


def read() -> Ngc:
    """The image that this process runs in. Raises what `parse` raises."""
    return parse(os.environ)


def parse(environment: Mapping[str, str]) -> Ngc:
    """Release and build in the environment. Raises Inconclusive outside NVIDIA's image, and in a stand-in image.

    >>> parse({"NVIDIA_PYTORCH_VERSION": "25.11", "NVIDIA_BUILD_ID": "231036155"})
    Ngc(release='25.11', build='231036155')
    """
    if STANDIN in environment:
        raise Inconclusive(
            "the image is built on a stand-in for NVIDIA's, which serves rehearsals and proves nothing",
            USE_THE_CONTAINER,
        )
    if not environment.get(RELEASE):
        raise Inconclusive(
            f"the work is done outside NVIDIA's container ({RELEASE} is not set), so its release could not be checked",
            USE_THE_CONTAINER,
        )
    return Ngc(environment[RELEASE], environment.get(BUILD, "unknown"))
