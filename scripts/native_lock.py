"""What is installed outside the container: the pins of the locks, and which of the locked builds of torch."""

from dataclasses import replace
from pathlib import Path

import lock_file
from lock_file import Entry

ROOT = Path(__file__).resolve().parents[1]
HOST = ROOT / "requirements.lock"
ROOM = ROOT / "requirements-room.lock"
DEVELOPMENT = ROOT / "requirements-dev.lock"
TORCH = ROOT / "requirements-torch.lock"
TORCH_FOR_CPU = ROOT / "requirements-torch-cpu.lock"


def files(stack: Path, *, host_only: bool, room: bool = False) -> list[Path]:
    """The locks that decide what is installed; `room` adds what drives a room of machines, which a whole one has."""
    return [ROOM if room else HOST] if host_only else [DEVELOPMENT, stack.with_suffix(".lock"), TORCH, TORCH_FOR_CPU]


def packages(stack: Path, *, host_only: bool, cpu: bool, torch: bool = True, room: bool = False) -> list[Entry]:
    """The pins to install: each package once for each version. `cpu` takes that build; without `torch`, none."""
    if host_only:
        return lock_file.read(ROOM if room else HOST)
    every = [entry for path in (DEVELOPMENT, stack.with_suffix(".lock")) for entry in lock_file.read(path)]
    for_torch = lock_file.read(TORCH)
    if cpu or not torch:
        for_torch = [entry for entry in for_torch if entry.name != "torch" and not lock_file.FOR_CUDA.match(entry.name)]
    if cpu and torch:
        for_torch += lock_file.read(TORCH_FOR_CPU)
    return list({(entry.name, entry.version): _exact(entry) for entry in [*every, *for_torch]}.values())


def _exact(entry: Entry) -> Entry:
    """`==2.13.0` would take a 2.13.0+cu999 that lies in a folder of wheels, whose hash then differs."""
    return replace(entry, text=entry.text.replace("==", "===", 1)) if entry.name == "torch" else entry


def cpu_torch() -> str:
    """The requirement of torch's build for the CPU."""
    (entry,) = lock_file.read(TORCH_FOR_CPU)
    return f"{entry.name}=={entry.version}"
