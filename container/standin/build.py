"""Build a stand-in for the base image where the real one cannot be had: `python container/standin/build.py`.

Debian by debootstrap, its Python, a CPU torch that carries a build tag as NVIDIA's does, a constraint file, user 1000
and the environment variables that the suite reads. It is labelled a stand-in, and a run inside it can only rehearse.
Needs root, debootstrap and a Docker engine; for arm64 on another machine also qemu-user-static.
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
"""The release of the base image that this stands in for."""
TORCH_VERSION = f"2.10.0a0+standin.nv{RELEASE}"
"""What its torch calls itself, whatever it is: like NVIDIA's own an alpha that sorts below 2.10, with the build tag."""
NUMPY = "numpy==2.1.0"
DEBIAN = "bookworm"
PYTHON = "3.11"


@dataclass(frozen=True)
class Architecture:
    """How Debian, Docker and Python's wheels call one kind of processor, and the torch that there is for it."""

    debian: str
    platform: str
    wheels: str
    torch: str


ARCHITECTURES = {
    "amd64": Architecture("amd64", "linux/amd64", "manylinux_2_28_x86_64", "torch==2.13.0"),
    # A CPU build from the package index; newer ones for this processor bring gigabytes of CUDA.
    "arm64": Architecture("arm64", "linux/arm64", "manylinux_2_28_aarch64", "torch==2.10.0"),
}


def main() -> None:
    """Build the image; prints its name last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default=_own_architecture())
    parser.add_argument("--name", help="image name (default dgxcert-standin:ARCH)")
    parser.add_argument("--reuse", action="store_true", help="do nothing where this very program has built it before")
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
        dress(root)
        make_image(root, architecture, name, options.docker)
    print(name)


def own_hash() -> str:
    """What a stand-in's label says: the hash of the program that built it."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def is_built(name: str, docker: str) -> bool:
    """Whether the engine has an image of that name that this very program has built."""
    form = '{{index .Config.Labels "org.dgxcert.standin"}}'
    asked = subprocess.run(
        [docker, "image", "inspect", "--format", form, name], capture_output=True, text=True, check=False
    )
    return asked.returncode == 0 and asked.stdout.strip() == own_hash()


def bootstrap(root: Path, architecture: Architecture) -> None:
    """A minimal Debian with Python and pip in `root`."""
    packages = "python3,python3-pip,python3-dev,ca-certificates,gcc"
    common = ["--variant=minbase", f"--include={packages}", DEBIAN, str(root)]
    if architecture.debian == _own_architecture():
        _run("debootstrap", *common)
        return
    _run("debootstrap", f"--arch={architecture.debian}", "--foreign", *common)
    emulator = next(Path("/usr/bin").glob("qemu-aarch64-static"), None)
    if emulator is None:
        sys.exit("standin: qemu-aarch64-static is missing. Install it: apt-get install qemu-user-static binfmt-support")
    shutil.copy(emulator, root / "usr/bin")
    _run("chroot", str(root), "/debootstrap/debootstrap", "--second-stage")


def install_torch(root: Path, architecture: Architecture, wheels: Path) -> None:
    """torch and numpy, with torch's version written as NVIDIA writes its own."""
    wanted = [architecture.torch, NUMPY]
    if architecture.debian == _own_architecture():
        download(wheels, wanted, _own_kind())
    else:
        download(wheels, resolve(wanted, architecture), _kind(architecture))
    inside = root / "wheels"
    shutil.copytree(wheels, inside)
    install = ["python3", "-m", "pip", "install", "-q", "--break-system-packages", "--no-index", "--find-links=/wheels"]
    _run("chroot", str(root), *install, *wanted)
    shutil.rmtree(inside)
    _tag(root)


def download(wheels: Path, wanted: list[str], kind: list[str]) -> None:
    """The wheels of some packages, into a folder."""
    _run(sys.executable, "-m", "pip", "download", "-q", "-d", str(wheels), *kind, *wanted)


def _own_kind() -> list[str]:
    """For this very processor; with the same Python pip also finds what is on this machine's own disk."""
    same = sys.version_info[:2] == tuple(map(int, PYTHON.split(".")))
    return [] if same else _kind(ARCHITECTURES[_own_architecture()])


def _kind(architecture: Architecture) -> list[str]:
    """pip's options for another Python or processor: it then takes wheels only, and only those that are named."""
    return [
        "--no-deps" if architecture.debian != _own_architecture() else "--prefer-binary",
        "--only-binary=:all:",
        f"--python-version={PYTHON}",
        "--implementation=cp",
        f"--platform={architecture.wheels}",
        "--platform=manylinux2014_" + architecture.wheels.split("_", 3)[3],
    ]


def resolve(wanted: list[str], architecture: Architecture) -> list[str]:
    """All that some packages need on another processor. pip would ask markers about this one; uv does not."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    platform = f"{architecture.wheels.split('_', 3)[3]}-manylinux_2_28"
    command = [uv, "pip", "compile", "-q", "--no-header", "--no-annotate"]
    command += ["--python-version", PYTHON, "--python-platform", platform, "-"]
    done = subprocess.run(command, input="\n".join(wanted), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"standin: {wanted} cannot be resolved for {platform}:\n{done.stderr}")
    return done.stdout.split()


def _tag(root: Path) -> None:
    """Rename the installed torch to TORCH_VERSION in every place that says its version."""
    packages = next(root.glob(f"usr/local/lib/python{PYTHON}/dist-packages"))
    info = next(packages.glob("torch-*.dist-info"))
    # The two need not agree: one may call a build `+cpu` and the other not.
    _put_version(info / "METADATA", r"^Version: (.+)$")
    _put_version(packages / "torch" / "version.py", r"^__version__ = '([^']+)'$")
    named = f"torch-{TORCH_VERSION}.dist-info"
    record = (info / "RECORD").read_text(encoding="utf-8")
    (info / "RECORD").write_text(record.replace(info.name, named), encoding="utf-8")
    info.rename(info.with_name(named))


def _put_version(path: Path, form: str) -> None:
    """Write TORCH_VERSION where a line of that form says another."""
    text = path.read_text(encoding="utf-8")
    found = re.search(form, text, re.MULTILINE)
    if found is None:
        sys.exit(f"standin: {path} does not say its version as torch's usually does")
    path.write_text(text[: found.start(1)] + TORCH_VERSION + text[found.end(1) :], encoding="utf-8")


def dress(root: Path) -> None:
    """What the base image has beside its packages: a constraint file and user 1000."""
    (root / "etc/pip").mkdir(exist_ok=True)
    (root / "etc/pip/constraint.txt").write_text("", encoding="utf-8")
    _run("chroot", str(root), "useradd", "--uid", "1000", "--create-home", "ubuntu")
    for leftover in ("var/cache/apt", "var/lib/apt/lists", "root/.cache", "usr/bin/qemu-aarch64-static"):
        path = root / leftover
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def make_image(root: Path, architecture: Architecture, name: str, docker: str) -> None:
    """Make the tree an image of one layer. Not by `docker import`: it marks what it makes as this processor's."""
    about = [
        "FROM scratch",
        "ADD root.tar /",
        f"ENV NVIDIA_PYTORCH_VERSION={RELEASE} NVIDIA_BUILD_ID=standin DGXCERT_STANDIN=1",
        "ENV PIP_CONSTRAINT=/etc/pip/constraint.txt",
        f"LABEL org.dgxcert.standin={own_hash()}",
    ]
    context = root.with_name("context")
    context.mkdir()
    _run("tar", "-C", str(root), "-cf", str(context / "root.tar"), ".")
    (context / "Dockerfile").write_text("\n".join(about), encoding="utf-8")
    build = [docker, "build", "-q", f"--platform={architecture.platform}", "-t", name, str(context)]
    _run("env", "DOCKER_BUILDKIT=1", *build)


def _own_architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit(f"standin: `{' '.join(command[:4])} ...` ended with {done.returncode}")


if __name__ == "__main__":
    main()
