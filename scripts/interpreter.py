"""Put Triton beside an environment whose torch comes without it, for its interpreter: `make interpreter`.

The tests of kernels run it on a CPU; nothing else sees it. The wheel is the one that the lock of torch for CUDA pins.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import lock_file
from lock_file import Entry
from setup import HASHED

LOCK = Path(__file__).resolve().parents[1] / "requirements-torch.lock"
NAME, STAMP = "triton", "dgxcert-version"


def main() -> None:
    """Install it where it is wanted and not there yet; without an index the tests say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True, help="the folder that holds it")
    folder = parser.parse_args().into.absolute()
    (entry,) = (entry for entry in lock_file.read(LOCK) if entry.name == NAME)
    stamp = folder / STAMP
    if importlib.util.find_spec(NAME) or (stamp.is_file() and stamp.read_text(encoding="utf-8") == entry.text):
        return
    print(f"interpreter: installing {NAME} {entry.version} into {folder}, for the tests of kernels", flush=True)
    if not put(entry, folder):
        print(f"MISSING: {NAME}, see pip's output above; the tests of kernels do not run", file=sys.stderr)


def put(entry: Entry, folder: Path) -> bool:
    """Install a pin into a folder of its own, which replaces an older one once it is whole; whether that worked."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as work:
        requirements, made = Path(work, "requirements.txt"), Path(work, "made")
        requirements.write_text(entry.text, encoding="utf-8")
        install = [sys.executable, "-m", "pip", *HASHED, "--target", str(made), "-r", str(requirements)]
        if subprocess.run(install, check=False).returncode:
            return False
        (made / STAMP).write_text(entry.text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return True


if __name__ == "__main__":
    main()
