"""Build a stand-in for the base image where the real one cannot be had: `python container/standin/build.py`.

Debian by debootstrap, its Python, a CPU torch that carries a build tag as NVIDIA's does, a constraint file, user 1000
and the environment variables that the suite reads. It is labelled a stand-in, and a run inside it can only rehearse.
Needs root, debootstrap and a Docker engine; for arm64 on another machine also qemu-user-static.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

RELEASE = "25.11"
"""The release of the base image that this stands in for."""
TAG = f"+standin.nv{RELEASE}"
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
    """Build and import the image; prints its name last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default=_own_architecture())
    parser.add_argument("--name", help="image name (default dgxcert-standin:ARCH)")
    parser.add_argument("--docker", default=shutil.which("docker", path="/usr/bin") or "docker")
    options = parser.parse_args()
    architecture = ARCHITECTURES[options.arch]
    name = options.name or f"dgxcert-standin:{options.arch}"
    with tempfile.TemporaryDirectory(prefix="dgxcert-standin-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 (debootstrap reads it as another user)
        root = Path(folder, "root")
        bootstrap(root, architecture)
        install_torch(root, architecture, Path(folder, "wheels"))
        dress(root)
        import_image(root, architecture, name, options.docker)
    print(name)


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
    """torch and numpy, with torch's version tagged as NVIDIA tags its own: an alpha that sorts below its release."""
    wanted = [architecture.torch, NUMPY]
    kind = ["--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"]
    kind += [f"--platform={architecture.wheels}", "--platform=manylinux2014_" + architecture.wheels.split("_", 3)[3]]
    if architecture.debian == _own_architecture() and sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        kind = []  # the plain download also finds what is on this machine's own disk
    _run(sys.executable, "-m", "pip", "download", "-q", "-d", str(wheels), *kind, *wanted)
    inside = root / "wheels"
    shutil.copytree(wheels, inside)
    install = ["python3", "-m", "pip", "install", "-q", "--break-system-packages", "--no-index", "--find-links=/wheels"]
    _run("chroot", str(root), *install, *wanted)
    shutil.rmtree(inside)
    _tag(root)


def _tag(root: Path) -> None:
    """Rename the installed torch from X.Y.Z to X.Y.Za0+standin.nvRELEASE in every place that says its version."""
    packages = next(root.glob(f"usr/local/lib/python{PYTHON}/dist-packages"))
    info = next(packages.glob("torch-*.dist-info"))
    version = info.name.removeprefix("torch-").removesuffix(".dist-info")
    tagged = f"{version.partition('+')[0]}a0{TAG}"
    for path in (info / "METADATA", packages / "torch" / "version.py"):
        path.write_text(path.read_text(encoding="utf-8").replace(version, tagged), encoding="utf-8")
    record = (info / "RECORD").read_text(encoding="utf-8")
    (info / "RECORD").write_text(record.replace(info.name, f"torch-{tagged}.dist-info"), encoding="utf-8")
    info.rename(info.with_name(f"torch-{tagged}.dist-info"))


def dress(root: Path) -> None:
    """What the base image has beside its packages: a constraint file and user 1000."""
    (root / "etc/pip").mkdir(exist_ok=True)
    (root / "etc/pip/constraint.txt").write_text("", encoding="utf-8")
    _run("chroot", str(root), "useradd", "--uid", "1000", "--create-home", "ubuntu")
    for leftover in ("var/cache/apt", "var/lib/apt/lists", "root/.cache", "usr/bin/qemu-aarch64-static"):
        path = root / leftover
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def import_image(root: Path, architecture: Architecture, name: str, docker: str) -> None:
    """Hand the tree to the engine as one layer."""
    about = [
        f"ENV NVIDIA_PYTORCH_VERSION={RELEASE}",
        "ENV NVIDIA_BUILD_ID=standin",
        "ENV PIP_CONSTRAINT=/etc/pip/constraint.txt",
        "ENV PIP_BREAK_SYSTEM_PACKAGES=1",
        "ENV DGXCERT_STANDIN=1",
        "LABEL org.dgxcert.standin=true",
    ]
    changes = [word for line in about for word in ("--change", line)]
    tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    done = subprocess.run(
        [docker, "import", f"--platform={architecture.platform}", *changes, "-", name], stdin=tar.stdout, check=False
    )
    if tar.wait() or done.returncode:
        sys.exit(f"standin: the image could not be imported ({docker} import ended with {done.returncode})")


def _own_architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit(f"standin: `{' '.join(command[:4])} ...` ended with {done.returncode}")


if __name__ == "__main__":
    main()
