"""Every pin of every stack has a wheel for a DGX Spark."""

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
"""The environment markers (PEP 508) of a Spark's container."""
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_24_aarch64", "manylinux2014_aarch64")
"""pip matches each name exactly; a wheel for an older system runs on a newer one too."""


def for_the_spark(lock: str) -> str:
    """The entries of a lock that apply to a Spark; pip evaluates markers for the machine that it runs on."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return "".join(re.sub(r" ; [^\\\n]+", " ", entry) for entry in entries if applies(entry))


def applies(entry: str) -> bool:
    """Whether an entry is a pin whose marker holds on a Spark."""
    first = entry.splitlines()[0].removesuffix("\\").strip()
    if first.startswith("#") or not first:
        return False
    marker = Requirement(first).marker
    return marker is None or marker.evaluate(dict(SPARK))


def download(requirements: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Download the wheels for a Spark."""
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
        missing("a package index", "Give this machine access to PyPI or to a mirror (pip.conf)")


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_pin_has_a_wheel_for_the_spark(lock: Path, tmp_path: Path) -> None:
    requirements = tmp_path / "spark.lock"
    requirements.write_text(for_the_spark(lock.read_text(encoding="utf-8")), encoding="utf-8")
    done = download(requirements, tmp_path / "wheels")
    assert done.returncode == 0, done.stderr
    pins = re.findall(r"^([A-Za-z0-9._-]+)==", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(list((tmp_path / "wheels").glob("*.whl"))) == len(pins) > 50
    assert {"transformers", "datasets", "peft", "accelerate", "evaluate", "bitsandbytes", "scikit-learn"} <= set(pins)


@pytest.mark.usefixtures("network")
def test_a_pin_without_a_wheel_for_the_spark_fails(tmp_path: Path) -> None:
    """bitsandbytes 0.44.1 has a wheel for x86-64 only; its own hash is pinned, so only the platform can be wrong."""
    only_x86 = "bitsandbytes==0.44.1 --hash=sha256:b2f24c6cbf45e4b60c6a7ff5a4fcaf1fd8ff26cd3ac5a2ed8d7db4fa4b8cf3a8\n"
    requirements = tmp_path / "x86.lock"
    requirements.write_text(only_x86, encoding="utf-8")
    done = download(requirements, tmp_path / "wheels")
    assert "No matching distribution found for bitsandbytes==0.44.1" in done.stderr


def test_markers_are_evaluated_for_the_spark() -> None:
    lock = (
        "# generated\narm==1 ; platform_machine == 'aarch64' \\\n    --hash=sha256:1\n"
        "older==1 ; python_full_version < '3.12' \\\n    --hash=sha256:2\nboth==1 \\\n    --hash=sha256:3\n"
    )
    assert re.findall(r"^(\w+)==", for_the_spark(lock), re.MULTILINE) == ["arm", "both"]
