"""The base image: whether its torch is still NVIDIA's own build, file by file, and its other packages are unchanged.

The guard script of the image's build is run again, so that the build and the validation apply the same rules.
"""

import json
import os
import re
import sys
from dataclasses import dataclass

from dgxcert import command
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import lockfile

OTHER_TORCH = (
    Trait.CONTAINER.only(
        "Try another release of NVIDIA's image, with another torch, CUDA and cuDNN: "
        "make validate BASE_IMAGE=nvcr.io/nvidia/pytorch:25.12-py3 IMAGE=dgxcert:25.12"
    ),
    Trait.NATIVE.only("Try NVIDIA's own torch, in the container: make validate RUNTIME=docker"),
    "If it is wrong there too, open a hardware case with both run folders.",
)
"""What changes torch: no stack does, since all of them take the torch of the image or of the environment."""

IN_THE_CONTAINER = "Run in the container, which is built on NVIDIA's own image: make validate"
LIMIT_S = 240.0
"""Hashing the 3 GB of torch from a cold disk takes about ten seconds."""


@dataclass(frozen=True)
class BaseImage:
    """`torch`: the version that the base image contains; `tag`: the suffix that its release adds to that version."""

    torch: str
    tag: str
    changed: str
    """What the guard reports as changed; `nothing` where all is as in the base image."""

    @property
    def torch_suffix(self) -> str:
        """The end of torch's version, as long as the tag.

        >>> BaseImage("2.10.0a0+b558c986e8.nv25.11", "nv25.11", "nothing").torch_suffix
        'nv25.11'
        """
        return self.torch[-len(self.tag) :]


def read() -> BaseImage:
    """Hash torch again and compare. Raises Inconclusive without a base image, or where its guard reports no result."""
    guard = lockfile.IMAGE / "guard.py"
    if not guard.is_file():
        raise Inconclusive("this environment has no base image that torch could belong to", IN_THE_CONTAINER)
    torch = json.loads((lockfile.IMAGE / "base.json").read_text(encoding="utf-8"))["torch"]
    done = command.run([sys.executable, "-P", str(guard), "after"], timeout_s=LIMIT_S)
    release = os.environ.get("NVIDIA_PYTORCH_VERSION", "")
    return BaseImage(str(torch), f"nv{release}" if release else "nv of an unknown release", parse(done))


def parse(done: command.Completed) -> str:
    """What has changed, in the guard's words; `nothing` only where the guard reports so itself.

    Raises Inconclusive for any other output.

    >>> failed = "guard: FAILED it does not fit:\\nguard| numpy was 2.1.0 and is 2.4.0 now"
    >>> parse(command.Completed(("guard.py",), 1, "", failed))
    'numpy was 2.1.0 and is 2.4.0 now'
    """
    changes = re.findall(r"^guard\| (.+)$", done.stderr, re.MULTILINE)
    if changes:
        return "; ".join(changes)
    if done.returncode == 0 and "untouched" in done.stdout:
        return "nothing"
    raise Inconclusive(f"the guard of the base image reported no result: {done.complaint}", IN_THE_CONTAINER)
