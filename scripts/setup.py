"""Set up everything that dgxcert needs in one virtual environment: `make setup`. Needs only Python 3.11 or newer.

A stamp in the environment says that this script made it, from which inputs, and with which packages. A call with the
same inputs looks whether those packages are still there, in those versions, and puts right what is not; `--verify`
compares their files as well. Nothing is ever cleared: what a user installed beside them stays. An environment without
the stamp belongs to somebody else, and is left as it is.

Every package comes from a lock: pip refuses a file whose hash is not listed there. The one exception has a name, and is
said on screen: TORCH names another build of torch than the locked ones, as a line of a requirements file.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import native_lock
from lock_file import Entry, canonical

ROOT = Path(__file__).resolve().parents[1]
STACKS = ROOT / "container" / "stacks"
OLDEST, NEWEST = (3, 11), (3, 13)

STAMP = "dgxcert-setup"
"""Written into an environment before anything else is: `make clean` removes no folder without it."""
MADE_HERE = "made by dgxcert's setup"

LOCK = "dgxcert-stack.lock"
"""Written into the environment: the versions that STACK-VERSIONS expects, until the next setup."""
TORCH = "dgxcert-torch"
"""Written into the environment: the line that TORCH named, until `make setup TORCH=locked`."""
BESIDE_THE_LOCK = ("torch", "triton", "numpy")
"""Part of the stack but in no lock, because the base image provides them."""

AGAIN = "See pip's output above; behind a proxy set HTTPS_PROXY, then run this again."
CHANGED = (
    "A file is not the one that the lock pins, as shown above: it was changed where it lies or on its way here, and "
    "was not installed. Ask whoever keeps that package index or folder of wheels."
)
HASHED = ("install", "-q", "--no-deps", "--require-hashes", "--only-binary=:all:")
"""pip's options for what a lock pins: that file or none, and no build that would fetch more."""


@dataclass(frozen=True)
class Stamp:
    """What this script has made of an environment. `inputs` is empty until it is complete."""

    inputs: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    """The versions of the packages that belong to it, by canonical name; a user's own are not among them."""

    def write(self, venv: Path) -> None:
        """Write it into the environment."""
        lines = [MADE_HERE, self.inputs, *(f"{name}=={version}" for name, version in sorted(self.packages.items()))]
        (venv / STAMP).write_text("\n".join([*lines, ""]), encoding="utf-8")


def main() -> None:
    """Create or refresh the environment; exits with one clear line when that cannot be done."""
    options = _options()
    venv = Path(options.venv).absolute()
    if options.clean:
        _clean(venv)
        return
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            f"setup: wanted Python 3.11 to 3.13, found {sys.version.split()[0]} ({sys.executable}). "
            "Name another: make setup PYTHON=python3.12"
        )
    stack = STACKS / f"{options.stack}.in"
    if not stack.is_file():
        known = ", ".join(sorted(path.stem for path in STACKS.glob("*.in")))
        sys.exit(f"setup: unknown stack {options.stack!r}. Known: {known}")
    stamp, torch = _stamp(venv), _torch(venv, options.torch)
    whole, in_container = _fingerprint(stack, "whole", torch), options.room or _in_container(options)
    room = _fingerprint(stack, "room")
    wanted = room if options.room else _fingerprint(stack, "host") if in_container else whole
    # What has more will do: a room and a validation on one machine must not install in turns.
    enough = {wanted, whole, room} if in_container else {whole}
    if stamp is None or stamp.inputs not in enough or not _runs(venv, "pip"):
        what = "dgxcert" if in_container else f"torch, the {options.stack} stack and dgxcert"
        print(f"setup: installing {what} into {options.venv}; this takes minutes the first time", flush=True)
        _install(venv, stack, wanted, "" if in_container else torch, host_only=in_container, room=options.room)
    elif changed := _changed(venv, stamp, verify=options.verify):
        print(f"setup: restoring in {options.venv}: {', '.join(changed)}", flush=True)
        _restore(venv, stack, stamp, changed)
    _write_lock(venv, stack)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--stack", default="course")
    parser.add_argument("--runtime", default="native", help="where the work is done: the container needs no stack here")
    parser.add_argument("--profile", default="", help="decides with the runtime; empty: of the config file, or auto")
    parser.add_argument("--room", action="store_true", help="what drives a room of machines, without a stack")
    parser.add_argument("--torch", default="", help="another build of torch than the locked ones; `locked` ends that")
    parser.add_argument("--verify", action="store_true", help="compare the packages' files with their hashes as well")
    parser.add_argument("--clean", action="store_true", help="remove the environment, if this script made it")
    return parser.parse_args()


def _in_container(options: argparse.Namespace) -> bool:
    """Whether a run with these options works in the container, by the same rule as `dgxcert validate`."""
    sys.path.insert(0, str(ROOT / "src"))
    from dgxcert.machine import runtime

    if options.runtime not in list(runtime.RuntimeChoice):
        sys.exit(f"setup: unknown runtime {options.runtime!r}. Known: {', '.join(runtime.RuntimeChoice)}")
    place, _ = runtime.resolve(runtime.RuntimeChoice(options.runtime), options.profile or _configured_profile())
    return place is runtime.Runtime.DOCKER


def _configured_profile() -> str:
    """The profile that a config file in this folder names, or auto; dgxcert itself says what is wrong with a file."""
    for name, tables in (("dgxcert.toml", ()), ("pyproject.toml", ("tool", "dgxcert"))):
        try:
            content = tomllib.loads(Path(name).read_text(encoding="utf-8"))
            for table in tables:
                content = content[table]
            return str(content["profile"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return "auto"


def _torch(venv: Path, asked: str) -> str:
    """The line that names another build of torch: what was asked now, or when this environment was set up; or ""."""
    chosen = venv / TORCH
    kept = chosen.read_text(encoding="utf-8").strip() if chosen.is_file() else ""
    return "" if asked == "locked" else asked or kept


def _fingerprint(stack: Path, extent: str, torch: str = "") -> str:
    """Hash of everything that decides what is installed."""
    inputs = [ROOT / "pyproject.toml", stack, Path(__file__), *_locks(stack, extent)]
    known = [sys.version.encode(), extent.encode(), torch.encode(), *(path.read_bytes() for path in inputs)]
    return hashlib.sha256(b"\0".join(known)).hexdigest()


def _stamp(venv: Path) -> Stamp | None:
    """The stamp of an environment, or None where there is no environment yet. Exits where it is somebody else's."""
    if not venv.exists() or (venv.is_dir() and not any(venv.iterdir())):
        return None
    if not _is_ours(venv):
        sys.exit(
            f"setup: {venv} was not made by `make setup`, so it is left as it is. "
            "Set up another folder: make setup VENV=.venv-dgxcert"
        )
    lines = (venv / STAMP).read_text(encoding="utf-8").splitlines()
    if lines[0] != MADE_HERE or len(lines) < 2:
        return Stamp()
    pins = (line.partition("==") for line in lines[2:])
    return Stamp(lines[1], {name: version for name, _, version in pins})


def _is_ours(venv: Path) -> bool:
    """Whether this script made the environment.

    Up to dgxcert 0.1 the stamp held a hash alone, and was written into other environments too: there the command that
    Python keeps in pyvenv.cfg tells whose it is.
    """
    stamp, config = venv / STAMP, venv / "pyvenv.cfg"
    if not stamp.is_file():
        return False
    if stamp.read_text(encoding="utf-8", errors="replace").startswith(MADE_HERE):
        return True
    return config.is_file() and f" -m venv --clear {venv}\n" in config.read_text(encoding="utf-8", errors="replace")


def _clean(venv: Path) -> None:
    """Remove an environment that this script made; any other is left as it is."""
    if venv.is_dir() and not venv.is_symlink() and _is_ours(venv):
        shutil.rmtree(venv)
    elif venv.exists():
        print(f"setup: {venv} was not made by `make setup`, so it is left as it is.", file=sys.stderr)


def _locks(stack: Path, extent: str) -> list[Path]:
    return native_lock.files(stack, host_only=extent != "whole", room=extent == "room")


def _install(venv: Path, stack: Path, wanted: str, torch: str, *, host_only: bool, room: bool = False) -> None:
    """Install everything into a new or existing environment, and stamp it."""
    venv.mkdir(parents=True, exist_ok=True)
    Stamp().write(venv)
    if not _runs(venv, "pip"):  # where Debian's python3-venv is missing, an incomplete environment is left behind
        _create(venv)
    pip = _pip(venv)
    (venv / TORCH).unlink(missing_ok=True)
    if torch:
        _install_other_torch(venv, torch)
    cpu = not host_only and _cpu_build(pip)
    packages = native_lock.packages(stack, host_only=host_only, cpu=cpu, torch=not torch, room=room)
    _install_locked(pip, packages)
    if torch:
        _run("install what that torch needs", [*pip, "install", "-q", "torch"], AGAIN)
    _install_own(pip)
    roots = {
        "dgxcert": {"host", *(["room"] if room else [])} if host_only else {"host", "room", "dev"},
        **{entry.name: set[str]() for entry in packages},
    }
    stamp = Stamp(wanted, _belonging(venv, roots if host_only else {"torch": set[str](), **roots}))
    _check(pip, stamp)
    stamp.write(venv)


def _create(venv: Path) -> None:
    """Create the environment. Without --clear: an interpreter that is gone is replaced, what is beside it stays."""
    for link in venv.glob("bin/python*"):
        if link.is_symlink() and not link.exists():  # venv would leave it
            link.unlink()
    for left in venv.glob("lib/python*/site-packages/pip-*.dist-info"):  # would pass for a pip that is there
        shutil.rmtree(left)
    create = [sys.executable, "-m", "venv", str(venv)]
    _run("create the environment", create, "On Debian, Ubuntu and DGX OS: sudo apt install python3-venv")


def _install_other_torch(venv: Path, torch: str) -> None:
    """Install the build that TORCH names; pip compares its hash where the line carries one."""
    checked = "with the hash that TORCH gives" if "--hash=" in torch else "without a hash: add --hash=sha256:..."
    print(f"setup: torch is not the locked one: TORCH={torch}, {checked}", file=sys.stderr, flush=True)
    (venv / TORCH).write_text(f"{torch}\n", encoding="utf-8")
    otherwise = f"{AGAIN} TORCH is one line of a requirements file, a path or torch==VERSION; TORCH=locked ends it."
    _run("install torch", [*_pip(venv), "install", "-q", "--no-deps", "-r", str(venv / TORCH)], otherwise)


def _cpu_build(pip: list[str]) -> bool:
    """Whether to install torch's build for the CPU: no NVIDIA driver here, and pip has been told where one is."""
    if Path("/proc/driver/nvidia").exists():
        return False
    ask = [*pip, "install", "-q", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:"]
    found = subprocess.run([*ask, native_lock.cpu_torch()], capture_output=True, check=False, env=_environment())
    return found.returncode == 0


def _install_locked(pip: list[str], packages: list[Entry], *options: str) -> None:
    """Install what a lock pins, every file compared with its hash."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-setup-") as folder:
        path = Path(folder, "requirements.txt")
        path.write_text("".join(entry.text for entry in packages), encoding="utf-8")
        _run("install the packages", [*pip, *HASHED, *options, "-r", str(path)], AGAIN)


def _install_own(pip: list[str], *options: str) -> None:
    """Install this checkout with the build backend of the lock, which is in the environment by now."""
    alone = ["install", "-q", "--no-deps", "--no-index", "--no-build-isolation", *options]
    _run("install dgxcert", [*pip, *alone, "-e", str(ROOT)], AGAIN)


def _belonging(venv: Path, roots: dict[str, set[str]]) -> dict[str, str]:
    """The installed versions of these packages, with these extras, and of all that they require."""
    installed = {canonical(each.metadata["Name"]): each for each in metadata.distributions(path=[str(_site(venv))])}
    folders, waiting, found = _found(venv), list(roots.items()), dict[str, str]()
    seen = set[tuple[str, str]]()
    while waiting:
        name, extras = waiting.pop()
        if name in folders:
            versions = [_version(folder) for folder in folders[name]]  # as `_changed` reads them
            found[name] = installed[name].version if installed[name].version in versions else versions[0]
            new = {"", *extras} - {extra for known, extra in seen if known == name}
            seen |= {(name, extra) for extra in new}
            for required in installed[name].requires or []:
                extra = re.search(r"extra == ['\"]([^'\"]+)", required)
                if (extra.group(1) if extra else "") in new:
                    waiting += _names(required).items()
    return found


def _names(requirements: str) -> dict[str, set[str]]:
    """The packages in lines of requirements, by canonical name, with the extras of each.

    >>> _names("fsspec[http]>=2023.1\\nscikit_learn==1.9")
    {'fsspec': {'http'}, 'scikit-learn': set()}
    """
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[([^]]*)\])?", requirements, re.MULTILINE)
    return {canonical(name): {extra.strip() for extra in extras.split(",") if extra} for name, extras in found}


def _changed(venv: Path, stamp: Stamp, *, verify: bool) -> list[str]:
    """The packages that are not as they were installed: missing, in another version, twice, or with other files."""
    found = _found(venv)
    changed = {
        name
        for name, version in stamp.packages.items()
        if [_version(folder) for folder in found.get(name, [])] != [version]
    }
    if verify:
        rest = [name for name in stamp.packages if name not in changed]
        with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
            others = pool.map(_has_other_files, [found[name][0] for name in rest])
            changed |= {name for name, other in zip(rest, others, strict=True) if other}
    return sorted(changed)


def _found(venv: Path) -> dict[str, list[Path]]:
    """The folders of metadata by package, from their names alone: this runs before every target."""
    found: dict[str, list[Path]] = {}
    for folder in _site(venv).glob("*.dist-info"):
        found.setdefault(canonical(folder.name.partition("-")[0]), []).append(folder)
    return found


def _version(folder: Path) -> str:
    return folder.name.removesuffix(".dist-info").partition("-")[2]


def _has_other_files(folder: Path) -> bool:
    """Whether a file of a package is missing, or differs from the hash in the package's own list."""
    for file in metadata.Distribution.at(folder).files or []:
        path = Path(str(file.locate()))
        if file.hash is None or "__pycache__" in file.parts:
            continue
        if not path.is_file() or _digest(path, file.hash.mode) != file.hash.value:
            return True
    return False


def _digest(path: Path, algorithm: str) -> str:
    """A file's hash as in RECORD: URL-safe base64 without padding."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _locked(stack: Path, stamp: Stamp) -> list[Entry]:
    """The pins from which the packages of a stamp were installed."""
    host_only, cpu = "torch" not in stamp.packages, stamp.packages.get("torch") == native_lock.cpu_torch()[7:]
    pins = native_lock.packages(stack, host_only=host_only, cpu=cpu, room="ansible-core" in stamp.packages)
    return [entry for entry in pins if stamp.packages.get(entry.name) == entry.version]


def _restore(venv: Path, stack: Path, stamp: Stamp, changed: list[str]) -> None:
    """Install packages again in the versions of the stamp; nothing else is touched."""
    Stamp("", stamp.packages).write(venv)  # until this has succeeded, the next call installs all
    pip, found = _pip(venv), _found(venv)
    for name in changed:
        for folder in found.get(name, []):
            if found[name][1:] and _version(folder) != stamp.packages[name]:
                shutil.rmtree(folder)  # what an interrupted update left: pip would uninstall only one of the two
    locked = [entry for entry in _locked(stack, stamp) if entry.name in changed]
    if locked:
        _install_locked(pip, locked, "--force-reinstall")
    beside = set(changed) - {entry.name for entry in locked} - {"dgxcert"}  # another torch, and what only it needs
    if beside:
        chosen = ["-r", str(venv / TORCH)] if "torch" in beside and (venv / TORCH).is_file() else []
        pins = [f"{name}=={stamp.packages[name]}" for name in sorted(beside) if name != "torch" or not chosen]
        _run(
            "restore the packages",
            [*pip, "install", "-q", "--no-deps", "--force-reinstall", *chosen, *pins],
            "See pip's output above; a package from another index needs it again: PIP_EXTRA_INDEX_URL. If pip cannot "
            "restore one: make clean, then make setup; that also removes what you installed beside them.",
        )
    if "dgxcert" in changed:
        _install_own(pip, "--force-reinstall")
    _check(pip, stamp)
    stamp.write(venv)


def _check(pip: list[str], stamp: Stamp) -> None:
    """Exit where packages of the stack conflict; one that a user installed beside them is named, and stays."""
    done = subprocess.run([*pip, "check"], capture_output=True, text=True, env=_environment())
    conflicts = done.stdout.strip().splitlines() if done.returncode != 0 else []
    for line in conflicts:
        print(f"setup: {line}", file=sys.stderr)
    if any(canonical(line.split()[0]) in stamp.packages for line in conflicts):
        sys.exit("setup: packages of the stack disagree, as shown above. Report it with these lines.")
    if conflicts:
        print("setup: these do not belong to the stack; give them an environment of their own.", file=sys.stderr)


def _write_lock(venv: Path, stack: Path) -> None:
    """Write the lock of a whole environment, where it has another or none."""
    stamp, path = _stamp(venv) or Stamp(), venv / LOCK
    if stamp.inputs != _fingerprint(stack, "whole", _torch(venv, "")):
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_text(encoding="utf-8") != lock(stack, stamp.packages):
        path.write_text(lock(stack, stamp.packages), encoding="utf-8")


def lock(stack: Path, packages: dict[str, str]) -> str:
    """The installed version of every package that the stack's lock names: what STACK-VERSIONS expects from now on."""
    pinned = stack.with_suffix(".lock").read_text(encoding="utf-8")
    names = {*_names(pinned), *BESIDE_THE_LOCK}
    pins = [f"{name}=={version}" for name, version in sorted(packages.items()) if name in names]
    return "\n".join([f"# stack {stack.stem}", *pins, ""])


def _site(venv: Path) -> Path:
    """Its folder of packages; a folder that another Python left behind is not meant."""
    version = re.search(r"^version(?:_info)? = (\d+\.\d+)", (venv / "pyvenv.cfg").read_text(encoding="utf-8"), re.M)
    return venv / "lib" / f"python{version.group(1) if version else ''}" / "site-packages"


def _pip(venv: Path) -> list[str]:
    return [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]


def _runs(venv: Path, module: str) -> bool:
    """Whether its interpreter is there, with a module of that name; started only where that is in doubt."""
    python = venv / "bin" / "python"
    return python.exists() and (venv / "pyvenv.cfg").is_file() and (_site(venv) / module / "__main__.py").is_file()


def _run(what: str, args: list[str], otherwise: str) -> None:
    done = subprocess.run(args, check=False, env=_environment(), stderr=subprocess.PIPE, text=True, errors="replace")
    sys.stderr.write(done.stderr)
    if done.returncode != 0:
        advice = CHANGED if "DO NOT MATCH THE HASHES" in done.stderr else otherwise
        sys.exit(f"setup: could not {what} ({args[0]} ended with {done.returncode}). {advice}")


def _environment() -> dict[str, str]:
    """Variables for pip: the environment is its own, so a user's wish for one is met.

    A user's constraints carry no hashes, which pip demands of every file that it reads then; the locks leave no choice.
    """
    return {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_CONSTRAINT": ""}


if __name__ == "__main__":
    main()
