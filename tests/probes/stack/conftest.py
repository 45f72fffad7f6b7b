"""Fixtures of the tests of probes/stack: a lock, what a program printed, and packages as pip installs them."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dgxcert.probes.stack.lockfile import StackLock

Install = Callable[..., Path]


@pytest.fixture
def lock() -> StackLock:
    return StackLock("course", "the lock", {"peft": "1.0", "torch": "2.0"})


@pytest.fixture
def install() -> Install:
    """Install a package as pip does: one file, and a RECORD with its hash; returns the file."""

    def package(site: Path, name: str, version: str, *, record: bool = True) -> Path:
        module = site / name / "__init__.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(f"version = {version!r}\n", encoding="utf-8")
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        digest = base64.urlsafe_b64encode(hashlib.sha256(module.read_bytes()).digest()).decode().rstrip("=")
        if record:
            lines = f"{name}/__init__.py,sha256={digest},\n{info.name}/METADATA,,\n"
            (info / "RECORD").write_text(lines, encoding="utf-8")
        return module

    return package
