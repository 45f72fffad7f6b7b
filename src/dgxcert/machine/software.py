"""The software under test: the versions of the Hugging Face stack, read without importing any of it."""

import hashlib
import os
import platform
import re
import site
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

DEBIAN = Path("/var/lib/dpkg/info")
"""Where Debian and Ubuntu keep the files of each installed package, with their MD5."""
APPORT = [
    "try:",
    "import apport_python_hook",
    "except ImportError:",
    "pass",
    "else:",
    "apport_python_hook.install()",
]
"""The lines of the sitecustomize module that Ubuntu and DGX OS ship; Debian's holds comments only."""

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
    startup_code: tuple[str, ...] = ()
    """Files that Python ran at its start and that no installed package owns."""


def read() -> Software:
    """The software of this interpreter, from package metadata and environment variables."""
    return Software(
        python=platform.python_version(),
        executable=sys.executable,
        packages={name: version(name) for name in (*STACK, *OTHERS)},
        cuda=_cuda_of_torch(),
        base_image=_base_image(),
        in_container=Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
        startup_code=startup_code(),
    )


def startup_code() -> tuple[str, ...]:
    """Files that this interpreter ran at its start, before anything of dgxcert, and that no installed package owns.

    Such code can replace any function of any library. The module that Debian and Ubuntu ship is not named.
    """
    modules = (sys.modules.get(name) for name in ("sitecustomize", "usercustomize"))
    files = [Path(str(module.__file__)) for module in modules if module is not None and module.__file__]
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    files += [path for folder in folders for path in sorted(Path(folder).glob("*.pth"))]
    running = [path for path in files if _runs_code(path)]
    return tuple(str(path) for path in running if not _is_owned(path))


def _runs_code(path: Path) -> bool:
    """Whether the interpreter runs code of a file: of a .pth file, each line that begins with import."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return True  # it cannot be told what was run
    if path.suffix == ".pth":
        return any(line.startswith(("import ", "import\t")) for line in lines)
    code = [line for line in lines if line and not line.startswith("#")]
    return bool(code) and code != APPORT


def _is_owned(path: Path) -> bool:
    """Whether an installed package lists a file among its own: of Python, or of Debian with this very content."""
    records = (each.read_text("RECORD") or "" for each in metadata.distributions(path=[str(path.parent)]))
    own = any(line.startswith(f"{path.name},") for record in records for line in record.splitlines())
    return own or _is_of_debian(path)


def _is_of_debian(path: Path) -> bool:
    try:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return False
    listed = f"{digest}  {path.as_posix().lstrip('/')}"
    return any(listed in file.read_text(errors="replace").splitlines() for file in DEBIAN.glob("*.md5sums"))


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
