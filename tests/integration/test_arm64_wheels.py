"""Every pin of every stack can be had for a DGX Spark: a missing arm wheel shows here, and not at a student's desk."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from needs import missing
from packaging.requirements import Requirement

LOCKS = sorted((Path(__file__).parents[2] / "container" / "stacks").glob("*.lock"))
PYTHON = "3.12"
SPARK = {
    "implementation_name": "cpython",
    "implementation_version": f"{PYTHON}.3",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{PYTHON}.3",
    "python_version": PYTHON,
    "sys_platform": "linux",
}
"""What a lock's markers ask about, as the Spark's container answers."""
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_24_aarch64", "manylinux2014_aarch64")
"""pip takes each name for itself; a wheel for an older system runs on a newer one."""


def for_the_spark(lock: str) -> str:
    """The entries of a lock that apply there; pip would ask markers about the machine that it runs on."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return "".join(re.sub(r" ; [^\\\n]+", " ", entry) for entry in entries if applies(entry))


def applies(entry: str) -> bool:
    first = entry.splitlines()[0].removesuffix("\\").strip()
    if first.startswith("#") or not first:
        return False
    marker = Requirement(first).marker
    return marker is None or marker.evaluate(dict(SPARK))


def download(requirements: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--python-version", PYTHON, "--implementation=cp", "--abi=cp312", "--abi=abi3", "--abi=none"]
    command += [f"--platform={name}" for name in PLATFORMS]
    command += ["-d", str(folder), "-r", str(requirements)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def network(tmp_path: Path) -> None:
    """A package index that answers."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path / "probe"), "iniconfig"]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        missing("a package index", "Give this machine a way to PyPI or to a mirror of it (pip.conf)")


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_pin_has_a_wheel_for_the_spark(lock: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "spark.lock"
    wanted.write_text(for_the_spark(lock.read_text(encoding="utf-8")), encoding="utf-8")
    done = download(wanted, tmp_path / "wheels")
    assert done.returncode == 0, done.stderr
    pins = re.findall(r"^([A-Za-z0-9._-]+)==", wanted.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(list((tmp_path / "wheels").glob("*.whl"))) == len(pins) > 50
    assert {"transformers", "datasets", "peft", "accelerate", "evaluate", "bitsandbytes", "scikit-learn"} <= set(pins)


@pytest.mark.usefixtures("network")
def test_a_pin_without_a_wheel_for_the_spark_is_seen(tmp_path: Path) -> None:
    """bitsandbytes 0.44.1 came for x86-64 alone; its own hash is pinned, so nothing else is at fault."""
    only_x86 = "bitsandbytes==0.44.1 --hash=sha256:b2f24c6cbf45e4b60c6a7ff5a4fcaf1fd8ff26cd3ac5a2ed8d7db4fa4b8cf3a8\n"
    wanted = tmp_path / "x86.lock"
    wanted.write_text(only_x86, encoding="utf-8")
    done = download(wanted, tmp_path / "wheels")
    assert "No matching distribution found for bitsandbytes==0.44.1" in done.stderr


def test_markers_are_asked_about_the_spark() -> None:
    lock = (
        "# made\nhere==1 ; platform_machine == 'aarch64' \\\n    --hash=sha256:1\n"
        "there==1 ; python_full_version < '3.12' \\\n    --hash=sha256:2\nboth==1 \\\n    --hash=sha256:3\n"
    )
    assert re.findall(r"^(\w+)==", for_the_spark(lock), re.MULTILINE) == ["here", "both"]
