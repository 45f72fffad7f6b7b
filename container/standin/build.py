"""Build a stand-in for the base image where the real one is not available: `python container/standin/build.py`.

The image holds Debian (by debootstrap) with its Python, a CPU torch with a build tag like NVIDIA's, a constraint file,
user 1000 and the environment variables that the suite reads. It is labelled a stand-in, and a run in it can only
rehearse. Needs root, debootstrap and a Docker engine; for arm64 on another architecture also qemu-user-static.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

RELEASE = "25.11"
"""The release of the base image that it replaces."""
TORCH_VERSION = f"2.10.0a0+standin.nv{RELEASE}"
"""The version that its torch reports: like NVIDIA's an alpha, which sorts below 2.10, with the build tag."""
NUMPY = "numpy==2.1.0"
DEBIAN = "bookworm"
PYTHON = "3.11"


@dataclass(frozen=True)
class Architecture:
    """An architecture by its names in Debian, Docker and wheel tags, and the torch that is available for it."""

    debian: str
    platform: str
    wheels: str
    torch: str


ARCHITECTURES = {
    "amd64": Architecture("amd64", "linux/amd64", "manylinux_2_28_x86_64", "torch==2.13.0"),
    # A CPU build on PyPI; newer builds for arm64 depend on gigabytes of CUDA.
    "arm64": Architecture("arm64", "linux/arm64", "manylinux_2_28_aarch64", "torch==2.10.0"),
}


def main() -> None:
    """Build the image; prints its name last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default=_own_architecture())
    parser.add_argument("--name", help="image name (default dgxcert-standin:ARCH)")
    parser.add_argument(
        "--reuse", action="store_true", help="do nothing where this version of the program has built it before"
    )
    parser.add_argument("--docker", default=shutil.which("docker", path="/usr/bin") or "docker")
    options = parser.parse_args()
    architecture = ARCHITECTURES[options.arch]
    name = options.name or f"dgxcert-standin:{options.arch}"
    if options.reuse and is_built(name, options.docker):
        print(name)
        return
    with tempfile.TemporaryDirectory(prefix="dgxcert-standin-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 (debootstrap reads it as another user)
        root = Path(folder, "root")
        bootstrap(root, architecture)
        install_torch(root, architecture, Path(folder, "wheels"))
        complete(root)
        make_image(root, architecture, name, options.docker)
    print(name)


def own_hash() -> str:
    """The hash of this program, which a stand-in has as its label."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def is_built(name: str, docker: str) -> bool:
    """Whether the engine has an image of that name that this version of the program has built."""
    label = '{{index .Config.Labels "org.dgxcert.standin"}}'
    inspected = subprocess.run(
        [docker, "image", "inspect", "--format", label, name], capture_output=True, text=True, check=False
    )
    return inspected.returncode == 0 and inspected.stdout.strip() == own_hash()


def bootstrap(root: Path, architecture: Architecture) -> None:
    """Install a minimal Debian with Python and pip into `root`."""
    packages = "python3,python3-pip,python3-dev,ca-certificates,gcc"
    arguments = ["--variant=minbase", f"--include={packages}", DEBIAN, str(root)]
    if architecture.debian == _own_architecture():
        _run("debootstrap", *arguments)
        return
    _run("debootstrap", f"--arch={architecture.debian}", "--foreign", *arguments)
    emulator = next(Path("/usr/bin").glob("qemu-aarch64-static"), None)
    if emulator is None:
        sys.exit("standin: qemu-aarch64-static is missing. Install it: apt-get install qemu-user-static binfmt-support")
    shutil.copy(emulator, root / "usr/bin")
    _run("chroot", str(root), "/debootstrap/debootstrap", "--second-stage")


def install_torch(root: Path, architecture: Architecture, wheels: Path) -> None:
    """Install torch and numpy, and give torch a version like NVIDIA's."""
    requirements = [architecture.torch, NUMPY]
    if architecture.debian == _own_architecture():
        download(wheels, requirements, _own_tags())
    else:
        download(wheels, resolve(requirements, architecture), _tags(architecture))
    copied = root / "wheels"
    shutil.copytree(wheels, copied)
    install = ["python3", "-m", "pip", "install", "-q", "--break-system-packages", "--no-index", "--find-links=/wheels"]
    _run("chroot", str(root), *install, *requirements)
    shutil.rmtree(copied)
    _set_torch_version(root)


def download(wheels: Path, requirements: list[str], tags: list[str]) -> None:
    """Download wheels into a folder; `tags` are pip's options for another Python or architecture."""
    _run(sys.executable, "-m", "pip", "download", "-q", "-d", str(wheels), *tags, *requirements)


def _own_tags() -> list[str]:
    """pip's options for this architecture: none with the same Python, so that pip also finds this machine's wheels."""
    same_python = sys.version_info[:2] == tuple(map(int, PYTHON.split(".")))
    return [] if same_python else _tags(ARCHITECTURES[_own_architecture()])


def _tags(architecture: Architecture) -> list[str]:
    """pip's options for another Python or architecture, for which pip downloads wheels only."""
    return [
        "--no-deps" if architecture.debian != _own_architecture() else "--prefer-binary",
        "--only-binary=:all:",
        f"--python-version={PYTHON}",
        "--implementation=cp",
        f"--platform={architecture.wheels}",
        "--platform=manylinux2014_" + architecture.wheels.split("_", 3)[3],
    ]


def resolve(requirements: list[str], architecture: Architecture) -> list[str]:
    """Requirements with all their dependencies on another architecture, by uv: pip evaluates markers for its own."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    platform = f"{architecture.wheels.split('_', 3)[3]}-manylinux_2_28"
    command = [uv, "pip", "compile", "-q", "--no-header", "--no-annotate"]
    command += ["--python-version", PYTHON, "--python-platform", platform, "-"]
    done = subprocess.run(command, input="\n".join(requirements), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"standin: {requirements} cannot be resolved for {platform}:\n{done.stderr}")
    return done.stdout.split()


def _set_torch_version(root: Path) -> None:
    """Write TORCH_VERSION into every file and name that holds the version of the installed torch."""
    packages = next(root.glob(f"usr/local/lib/python{PYTHON}/dist-packages"))
    info = next(packages.glob("torch-*.dist-info"))
    # Replaced separately, since the two can differ: one may have `+cpu` and the other not.
    _put_version(info / "METADATA", r"^Version: (.+)$")
    _put_version(packages / "torch" / "version.py", r"^__version__ = '([^']+)'$")
    renamed = f"torch-{TORCH_VERSION}.dist-info"
    record = (info / "RECORD").read_text(encoding="utf-8")
    (info / "RECORD").write_text(record.replace(info.name, renamed), encoding="utf-8")
    info.rename(info.with_name(renamed))


def _put_version(path: Path, pattern: str) -> None:
    """Replace the version that the pattern captures by TORCH_VERSION."""
    text = path.read_text(encoding="utf-8")
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        sys.exit(f"standin: {path} holds no version in torch's usual format")
    path.write_text(text[: match.start(1)] + TORCH_VERSION + text[match.end(1) :], encoding="utf-8")


def complete(root: Path) -> None:
    """Add the constraint file and user 1000 of the base image, and remove caches and the emulator."""
    (root / "etc/pip").mkdir(exist_ok=True)
    (root / "etc/pip/constraint.txt").write_text("", encoding="utf-8")
    _run("chroot", str(root), "useradd", "--uid", "1000", "--create-home", "ubuntu")
    for leftover in ("var/cache/apt", "var/lib/apt/lists", "root/.cache", "usr/bin/qemu-aarch64-static"):
        path = root / leftover
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def make_image(root: Path, architecture: Architecture, name: str, docker: str) -> None:
    """Build an image of one layer from the tree. `docker import` would label it with this machine's architecture."""
    dockerfile = [
        "FROM scratch",
        "ADD root.tar /",
        f"ENV NVIDIA_PYTORCH_VERSION={RELEASE} NVIDIA_BUILD_ID=standin DGXCERT_STANDIN=1",
        "ENV PIP_CONSTRAINT=/etc/pip/constraint.txt",
        f"LABEL org.dgxcert.standin={own_hash()}",
    ]
    context = root.with_name("context")
    context.mkdir()
    _run("tar", "-C", str(root), "-cf", str(context / "root.tar"), ".")
    (context / "Dockerfile").write_text("\n".join(dockerfile), encoding="utf-8")
    build = [docker, "build", "-q", f"--platform={architecture.platform}", "-t", name, str(context)]
    _run("env", "DOCKER_BUILDKIT=1", *build)


def _own_architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit(f"standin: `{' '.join(command[:4])} ...` exited with {done.returncode}")


if __name__ == "__main__":
    main()
