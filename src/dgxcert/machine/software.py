"""The software under test: the versions of the Hugging Face stack, read without importing any of it."""

import os
import platform
import re
import sys
from importlib import metadata, util
from pathlib import Path

from pydantic import BaseModel, ConfigDict

STACK = (
    "torch",
    "transformers",
    "datasets",
    "peft",
    "accelerate",
    "evaluate",
    "bitsandbytes",
    "scikit-learn",
    "huggingface-hub",
    "tokenizers",
    "safetensors",
)
"""The Hugging Face stack by distribution name, torch and transformers first."""

OTHERS = ("numpy", "triton", "hf-xet", "pyarrow", "pandas", "pytest", "pytest-benchmark", "nvidia-ml-py")


class Software(BaseModel):
    """What the requirements ran on. None where a package is not installed, or where nothing reports the value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    python: str
    executable: str
    packages: dict[str, str | None]
    cuda: str | None = None
    base_image: str | None = None
    in_container: bool = False


def read() -> Software:
    """The software of this interpreter, from package metadata and environment variables."""
    return Software(
        python=platform.python_version(),
        executable=sys.executable,
        packages={name: version(name) for name in (*STACK, *OTHERS)},
        cuda=_cuda_of_torch(),
        base_image=_base_image(),
        in_container=Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
    )


def version(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def canonical(distribution: str) -> str:
    """A distribution's normalised name (PEP 503).

    >>> canonical("scikit_learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _cuda_of_torch() -> str | None:
    """The CUDA version that torch was built for, from its generated version.py: importing torch takes seconds."""
    spec = util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name("version.py")
    if not path.is_file():
        return None
    match = re.search(r"^cuda\b[^=\n]*=\s*'([^']+)'", path.read_text(encoding="utf-8"), re.MULTILINE)
    return match.group(1) if match else None


def _base_image() -> str | None:
    """The release and build of an NGC image, which its environment variables hold."""
    release, build = os.environ.get("NVIDIA_PYTORCH_VERSION"), os.environ.get("NVIDIA_BUILD_ID")
    return f"nvidia pytorch {release} build {build}" if release else None
