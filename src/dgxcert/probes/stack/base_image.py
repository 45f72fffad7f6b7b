"""The base image: whether its torch is still NVIDIA's own build, file by file, and nothing else of it has moved.

The guard that watched over the image's build is asked again, so that both judge by one rule.
"""

import json
import os
import re
import sys
from dataclasses import dataclass

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import lockfile

IN_THE_CONTAINER = "Run in the container, which is built on NVIDIA's own image: make validate"
LIMIT_S = 240.0
"""Three GB from a cold disk take some ten seconds."""


@dataclass(frozen=True)
class Base:
    """`torch` is what the base image held, `tag` the end that the release gives it, `changed` what the guard says."""

    torch: str
    tag: str
    changed: str

    @property
    def ending(self) -> str:
        """The end of torch's version, as long as the tag."""
        return self.torch[-len(self.tag) :]


def read() -> Base:
    """Hash torch anew and compare; raises Inconclusive where there is no base image, or its guard cannot look."""
    guard = lockfile.IMAGE / "guard.py"
    if not guard.is_file():
        raise Inconclusive("there is no base image here whose torch this could be", IN_THE_CONTAINER)
    torch = json.loads((lockfile.IMAGE / "base.json").read_text(encoding="utf-8"))["torch"]
    asked = command.run([sys.executable, "-P", str(guard), "after"], timeout_s=LIMIT_S)
    release = os.environ.get("NVIDIA_PYTORCH_VERSION", "")
    return Base(str(torch), f"nv{release}" if release else "nv of an unknown release", parse(asked))


def parse(asked: command.Completed) -> str:
    """What has changed, in the guard's words; `nothing` only where it says so itself."""
    found = re.findall(r"^guard\| (.+)$", asked.stderr, re.MULTILINE)
    if found:
        return "; ".join(found)
    if asked.returncode == 0 and "untouched" in asked.stdout:
        return "nothing"
    raise Inconclusive(f"the guard of the base image could not look: {asked.complaint}", IN_THE_CONTAINER)
