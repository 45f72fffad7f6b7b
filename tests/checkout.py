"""A copy of this checkout that tests may change, and the image that is built from it by the real builder."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgxcert.container import builder
from dgxcert.machine.image import Image
from dgxcert.plan import suite

ROOT = Path(__file__).parents[1]
NETWORK = "host"
"""Builds use the machine's own network, where a package index may listen on the loopback address."""


def copy_of_checkout(folder: Path) -> Path:
    """Copy the files of this checkout, without those that git ignores, into a folder that tests may change."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@dataclass
class Checkout:
    """A copy of this checkout with a stack of its own, and the image that is built from it."""

    folder: Path

    def lock(self, name: str, text: str) -> None:
        """Add the lock of another stack."""
        (self.folder / "container" / "stacks" / f"{name}.lock").write_text(text, encoding="utf-8")

    def build(self, reference: str, stack: str, base: str) -> tuple[Image, list[str]]:
        """Build with the real builder; returns the image and the lines of output."""
        lines: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(suite, "root", lambda: self.folder)
            patch.setenv("BUILD_NETWORK", os.environ.get("BUILD_NETWORK", NETWORK))
            return builder.ensure(reference, stack, base, build=True, show=lines.append), lines
