"""Guards the base image while a stack is installed into it: NVIDIA's own builds stay unchanged.

`before` records the packages of the base and writes constraints for pip; `install` installs a lock under them; `after`
fails the build when torch or a constrained package has changed, or when there is a new conflict between packages.
Standard library only: it runs in the base image, before anything is installed.

A failure is one line `guard: FAILED ...` and one `guard| ...` per finding, which `dgxcert.container.builder` reads.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import NoReturn

HERE = Path("/opt/dgxcert")
KEPT = re.compile(
    r"^(torch|torchvision|torchaudio|torch-tensorrt|torchao|triton|pytorch-triton|numpy|cupy.*|apex|flash-attn|"
    r"transformer-engine.*|nvidia-.*|cuda-.*|cudf.*|rmm.*|tensorrt.*)$"
)
"""Packages that are NVIDIA's own builds or that those were built against."""

INTO_THE_SYSTEM = {"PIP_BREAK_SYSTEM_PACKAGES": "1"}
"""The base's Python may be marked as externally managed (PEP 668); the stack is installed into it all the same."""

LAST_PEFT_WITHOUT_TORCHAO_CHECK = (0, 18)
OLDEST_TORCHAO = (0, 17)
"""peft from 0.19 on refuses to attach LoRA beside an older torchao; without torchao it works."""


@dataclass(frozen=True)
class Base:
    """The base image before anything is installed."""

    torch: str
    torch_sha256: str
    kept: dict[str, str]
    conflicts: list[str]
    packages: dict[str, str] = field(default_factory=dict)
    """Every package of the base: none of them is an intruder."""
    variables: list[str] = field(default_factory=list)
    """Names of the variables that the base sets: none of them is a user's."""


def canonical(name: str) -> str:
    """A distribution's name as package indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Every installed distribution and its version."""
    return {
        canonical(package.metadata["Name"]): package.version
        for package in metadata.distributions()
        if package.metadata["Name"]
    }


def constraints(packages: dict[str, str]) -> str:
    """pip constraints with the exact versions of the base; alphas included, since 2.10.0a0 sorts below 2.10."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(packages.items()) if KEPT.match(name))


def hash_of_torch(folder: Path) -> str:
    """SHA-256 over names and contents of every file of the installed torch, without caches."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(folder)}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def conflicts() -> list[str]:
    """The conflicts that `pip check` prints, one line each."""
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    return [line for line in check.stdout.splitlines() if line and not line.startswith("No broken")]


def fail(what: str, findings: list[str]) -> NoReturn:
    """End the build with a message and its findings."""
    sys.exit("\n".join([f"guard: FAILED {what}:", *(f"guard| {line}" for line in findings)]))


def wanted_tag(environment: dict[str, str]) -> str:
    """The build tag at the end of the base image's torch version, e.g. `nv25.11`; exits without a release."""
    release = environment.get("NVIDIA_PYTORCH_VERSION")
    if not release:
        fail("this is no NVIDIA PyTorch image", ["NVIDIA_PYTORCH_VERSION is not set; name another BASE_IMAGE"])
    return f"nv{release}"


def read_base(environment: dict[str, str]) -> Base:
    """Read the base image; exits when its torch does not carry the build tag."""
    packages = installed()
    torch = packages.get("torch", "not installed")
    if not torch.endswith(wanted_tag(environment)):
        wanted = f"wanted a torch that ends in {wanted_tag(environment)}, found {torch}"
        fail("torch is not the base image's own build", [f"{wanted}; name another BASE_IMAGE"])
    kept = {name: version for name, version in packages.items() if KEPT.match(name)}
    return Base(torch, hash_of_torch(_folder_of_torch()), kept, conflicts(), packages, sorted(environment))


def _folder_of_torch() -> Path:
    return Path(str(metadata.distribution("torch").locate_file("torch")))


def torchao_in_the_way(packages: dict[str, str]) -> bool:
    """Whether this peft would refuse to attach LoRA because of this torchao."""
    if "torchao" not in packages or "peft" not in packages:
        return False
    return (
        _release(packages["peft"]) > LAST_PEFT_WITHOUT_TORCHAO_CHECK and _release(packages["torchao"]) < OLDEST_TORCHAO
    )


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def complaints(base: Base, packages: dict[str, str], torch_sha256: str, current: list[str]) -> list[str]:
    """Forbidden changes of an installation, one line each; empty when the base is unchanged."""
    found = []
    for name, version in base.kept.items():
        if packages.get(name) != version and not (name == "torchao" and name not in packages):
            found.append(f"{name} was {version} in the base image and is {packages.get(name, 'missing')} now")
    if torch_sha256 != base.torch_sha256:
        found.append(f"the files of torch {base.torch} are no longer those of the base image")
    if torchao_in_the_way(packages):
        found.append(f"peft {packages['peft']} refuses to attach LoRA beside torchao {packages['torchao']}")
    found += [f"new conflict: {line}" for line in current if line not in base.conflicts]
    return found


def before() -> None:
    """Record the base and write the constraints."""
    base = read_base(dict(os.environ))
    (HERE / "base.json").write_text(json.dumps(asdict(base), indent=1), encoding="utf-8")
    (HERE / "constraints.txt").write_text(constraints(base.kept), encoding="utf-8")
    print(f"guard: torch {base.torch}; {len(base.kept)} packages of the base are pinned")


def install(lock: Path) -> None:
    """Install a lock into the base, showing pip's progress."""
    # Compiled once here: in the read-only container, every import would compile the stack again.
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--compile", "--no-deps"]
    pip += ["--require-hashes", "--constraint", str(HERE / "constraints.txt"), "--requirement", str(lock)]
    # The base's own PIP_CONSTRAINT has no hashes, which --require-hashes demands; the guard's constraints replace it.
    environment = {**os.environ, "PIP_CONSTRAINT": "", "PIP_ROOT_USER_ACTION": "ignore", **INTO_THE_SYSTEM}
    lines = []
    with subprocess.Popen(
        pip, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if process.returncode != 0:
        fail("the stack could not be installed", explain(lines))


def explain(lines: list[str]) -> list[str]:
    """Why pip failed, from its output: which package, and what is wrong with it."""
    text = "\n".join(lines)
    found = [
        f"{name} does not have the hash that the lock pins: the lock or the package index was tampered with"
        for name in re.findall(r"^ {4}(\S+==\S+) from .+:\n +Expected sha256", text, re.MULTILINE)
    ]
    found += [
        f"{name} could not be downloaded from the package index: no such file there, or no network"
        for name in re.findall(r"(?:No matching distribution found for|satisfies the requirement) (\S+)", text)
    ]
    conflict = "is in the lock in more than one version; lock again: make lock"
    if "(constraint)" in text:
        conflict = "is not the version that the base image holds, which must stay as NVIDIA built it"
    found += [f"{name} {conflict}" for name in re.findall(r"Cannot install (\S+?)(?: and .+)? because", text)]
    if "Hashes are required" in text:
        unpinned = re.findall(r"^ {4}(\S+==\S+) --hash=", text, re.MULTILINE)
        found += [f"{name} is in the lock without its hash; lock again: make lock" for name in unpinned]
    last = [line for line in lines if line.strip()][-1:] or ["pip printed nothing"]
    return list(dict.fromkeys(found)) or last


def fit() -> None:
    """Remove a torchao beside which peft refuses to attach LoRA; nothing else of the base is ever removed."""
    if torchao_in_the_way(installed()):
        uninstall = [sys.executable, "-m", "pip", "uninstall", "-y", "-q", "torchao"]
        subprocess.run(uninstall, env={**os.environ, **INTO_THE_SYSTEM}, check=True)
        print("guard: removed torchao, beside which this peft refuses to attach LoRA")


def after() -> None:
    """Fail unless the base is unchanged."""
    base = Base(**json.loads((HERE / "base.json").read_text(encoding="utf-8")))
    found = complaints(base, installed(), hash_of_torch(_folder_of_torch()), conflicts())
    if found:
        fail("the stack does not fit this base image", found)
    print(f"guard: torch {base.torch} is untouched, no new conflict")


def main() -> None:
    """Run one step of the build."""
    steps = {"before": before, "fit": fit, "after": after}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=[*steps, "install"])
    parser.add_argument("lock", type=Path, nargs="?", help="for install: the lock")
    options = parser.parse_args()
    if options.step == "install":
        install(options.lock)
    else:
        steps[options.step]()


if __name__ == "__main__":
    main()
