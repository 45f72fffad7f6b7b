"""The maker on a host: unpacks the suite that was delivered, makes an environment for it, and proves what is there.

    python3 maker.py PLACE REQUEST

`REQUEST` is JSON: see `room/delivery/variables.py`. This is run by the Python of the environment that it makes,
needs the standard library alone, and imports nothing of dgxcert. What was made whole carries a stamp: the next call
takes it as it is, and what an interruption has left is made again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

STAMP, LATEST = "dgxcert-whole", "latest"
MAKE_S, PROVE_S = 900.0, 60.0
PROVE = "from dgxcert.plan import suite; print(suite.identity(suite.root()).model_dump_json())"


class Refused(Exception):  # noqa: N818 (reads as `raise Refused`)
    """Why it cannot be made here."""


def main() -> int:
    """Make what is asked for; a failure is one line on standard error."""
    os.umask(0o077)
    place, request = Path(os.path.expanduser(sys.argv[1])).absolute(), json.loads(sys.argv[2])
    try:
        if "cannot" in request:
            raise Refused(request["cannot"])
        with (place / ".making").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            suite = _suite(place, request)
            python = _environment(place, request, suite)
            said = _proved(python, request)
    except Refused as refused:
        sys.stderr.write(f"dgxcert wrong={refused}\n")
        return 1
    except (tarfile.TarError, ValueError, KeyError, IndexError) as error:
        sys.stderr.write(f"dgxcert wrong=what was delivered cannot be used here: {error!r}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"dgxcert wrong={error.strerror or error}: {error.filename or place}\n")
        return 1
    sys.stdout.write(json.dumps({"made": True, **said}) + "\n")
    return 0


def _unpacked(archive: Path, sha256: str, into: Path) -> None:
    """Unpack an archive into a new folder, once its hash is the one that was delivered."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        archive.unlink()  # so that it is sent again
        raise Refused(f"{archive.name} arrived with another content than was sent; try again")
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):
            packed.extractall(into, filter="data")
        else:  # Python 3.11.2, as Debian 12 has it; the hash says that it is the controller's
            packed.extractall(into)  # noqa: S202


def _suite(place: Path, request: dict[str, Any]) -> Path:
    """The delivered suite, unpacked."""
    folder: Path = place / "suite" / request["suite"]
    archive = folder.with_suffix(".tgz")
    if not (folder / STAMP).exists():
        _unpacked(archive, request["suite_sha256"], folder)
        (folder / STAMP).touch()
    archive.unlink(missing_ok=True)
    return folder


def _environment(place: Path, request: dict[str, Any], suite: Path) -> Path:
    """The Python of an environment that has what dgxcert needs, and dgxcert from the delivered suite."""
    folder: Path = place / "environment" / request["environment"]
    python, archive = folder / "bin" / "python", folder.with_suffix(".tar")
    if not (folder / STAMP).exists() or not python.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run("make an environment", [sys.executable, "-m", "venv", "--without-pip", str(folder)])
        (site,) = folder.glob("lib/python*/site-packages")
        if request["prepared"]:
            _stand_on(site, folder, request["prepared"])
        else:
            _install(python, archive, request, folder)
        _add_dgxcert(python, site, suite)
        (folder / STAMP).touch()
    archive.unlink(missing_ok=True)
    new = place / ".latest"
    new.unlink(missing_ok=True)
    new.symlink_to(folder)
    os.replace(new, place / LATEST)
    return python


def _stand_on(site: Path, folder: Path, prepared: str) -> None:
    """Find the packages of an environment that the lab has prepared, which itself is left as it is."""
    ask = "import json, site, sys; print(json.dumps([sys.prefix, *site.getsitepackages()]))"
    prefix, *found = json.loads(_run("ask your environment", [f"{prepared}/bin/python", "-P", "-c", ask]))
    lines = [f"import site; site.addsitedir({path!r})" for path in found]
    (site / "prepared.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for lock in Path(prefix).glob("*.lock"):  # what STACK-VERSIONS compares with
        shutil.copy(lock, folder / lock.name)


def _install(python: Path, archive: Path, request: dict[str, Any], folder: Path) -> None:
    """Install the wheels that were delivered; pip compares the hash of each with the lock."""
    wheels = folder / "wheels"
    _unpacked(archive, request["wheels_sha256"], wheels)
    alone = ["--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--only-binary=:all:"]
    given = ["--require-hashes", "--find-links", str(wheels / "wheels"), "-r", str(wheels / "requirements.txt")]
    install = [str(python), "-P", "-m", "pip", "install", "-q", *alone, *given]
    _run("install the packages", install, PYTHONPATH=str(wheels / "pip"))
    shutil.rmtree(wheels)


def _add_dgxcert(python: Path, site: Path, suite: Path) -> None:
    """Have the environment import dgxcert from the delivered clone; a delivered wheel is installed."""
    if wheels := sorted(suite.glob("*.whl")):
        # Beside a dgxcert of the prepared environment, never in its place; `--target` would move the program away from
        # where RECORD lists it.
        pip = [str(python), "-P", "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--ignore-installed"]
        _run("install dgxcert", [*pip, str(wheels[0])], PYTHONPATH=str(suite / "pip"))
        return
    for metadata in suite.glob("*.dist-info"):
        shutil.copytree(metadata, site / metadata.name, dirs_exist_ok=True)
    (site / "dgxcert.pth").write_text(f"{suite / 'clone' / 'src'}\n", encoding="utf-8")


def _proved(python: Path, request: dict[str, Any]) -> dict[str, Any]:
    """What dgxcert says of itself here. Raises Refused where that is not what was delivered, unmodified."""
    suite = json.loads(_run("start dgxcert", [str(python), "-P", "-c", PROVE], timeout_s=PROVE_S).splitlines()[-1])
    if suite["modified"] is not False:
        raise Refused(f"the delivered suite cannot be established unmodified here: {suite['reason'] or 'unknown'}")
    wanted = request["commit"] or request["package_sha256"]
    found = suite["commit"] if request["commit"] else suite["package_sha256"]
    if found != wanted:
        raise Refused(f"the suite here is {found}, and {wanted} was delivered")
    return {"commit": suite["commit"], "sha256": suite["sha256"], "python": str(python)}


def _run(what: str, args: list[str], timeout_s: float = MAKE_S, **settings: str) -> str:
    """The output of a program. Raises Refused with its last words."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    env = {**kept, "PYTHONDONTWRITEBYTECODE": "1", **settings}
    try:
        done = subprocess.run(args, env=env, capture_output=True, text=True, timeout=timeout_s, check=False, cwd="/")
    except subprocess.TimeoutExpired:
        raise Refused(f"could not {what} within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        with contextlib.suppress(IndexError):
            raise Refused(f"could not {what}: {lines[-1].strip()[-300:]}")
        raise Refused(f"could not {what}: {args[0]} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
