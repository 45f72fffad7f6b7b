"""The CUDA major versions: the one torch was built for, that of the library bitsandbytes loads, and the driver's.

`python -m dgxcert.probes.stack.cuda_libraries` prints the libraries that one process has loaded, as JSON.
"""

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import lockfile

OVERRIDE = "BNB_CUDA_VERSION"
LIBRARY = re.compile(r"/(libbitsandbytes_\w+\.so)$", re.MULTILINE)


@dataclass(frozen=True)
class Libraries:
    """`cuda`: torch's CUDA version, like 13.0; `library`: the file that bitsandbytes has loaded, or why it has none."""

    cuda: str
    library: str
    override: str
    """BNB_CUDA_VERSION, which overrides the choice of bitsandbytes; empty where it is not set."""

    @property
    def torch_major(self) -> int:
        """13 for CUDA 13.0."""
        return int(self.cuda.partition(".")[0])

    @property
    def bitsandbytes_major(self) -> int:
        """The CUDA major version in the library's name; 0 for a library without CUDA.

        >>> Libraries("13.0", "libbitsandbytes_cuda128.so", "").bitsandbytes_major
        12
        """
        version_in_name = re.search(r"_cuda(\d\d)\d+", self.library)
        return int(version_in_name.group(1)) if version_in_name else 0

    @property
    def remedy(self) -> tuple[str, ...]:
        """What makes the versions agree: a driver for torch's CUDA, or bitsandbytes' library for it."""
        if self.bitsandbytes_major == self.torch_major:
            return (
                f"Update the driver to one for CUDA {self.torch_major}: sudo apt update && sudo apt full-upgrade",
                "Restart: sudo reboot",
            )
        if self.override:
            return (f"Let bitsandbytes choose: unset {OVERRIDE} (it is {self.override}, torch is for {self.cuda})",)
        return (
            "Run its diagnosis, in `make shell`: python -m bitsandbytes",
            *lockfile.advice(),
            f"If it only has a library for an older CUDA {self.torch_major}: export {OVERRIDE}={self.torch_major}0",
        )


def read() -> Libraries:
    """The libraries of a new process. Raises Inconclusive where torch has no GPU: bitsandbytes loads none then."""
    # bitsandbytes chooses its library once, when it is imported: in this process that may have happened long ago.
    done = command.run([sys.executable, "-P", "-m", "dgxcert.probes.stack.cuda_libraries"], timeout_s=120)
    if done.returncode != 0:
        raise Inconclusive(
            f"bitsandbytes could not be loaded: {done.complaint}", "Read the result of STACK-IMPORT first."
        )
    return parse(json.loads(done.stdout.strip().splitlines()[-1]), os.environ.get(OVERRIDE, ""))


def parse(loaded: dict[str, object], override: str) -> Libraries:
    """The libraries in what the new process printed. Raises what `read` raises.

    >>> parse({"cuda": "13.0", "available": True, "maps": "/site/bitsandbytes/libbitsandbytes_cuda130.so"}, "").library
    'libbitsandbytes_cuda130.so'
    """
    if not loaded["cuda"] or not loaded["available"]:
        raise Inconclusive(
            "torch finds no GPU, so bitsandbytes loads no CUDA library", "Read the result of GPU-CUDA first."
        )
    names = LIBRARY.findall(str(loaded["maps"]))
    return Libraries(str(loaded["cuda"]), names[0] if names else "none was loaded", override)


def _loaded() -> dict[str, object]:
    import bitsandbytes  # noqa: F401 (loads its library)
    import torch

    # The memory map holds the library that was really loaded, whichever one bitsandbytes reports.
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    lines = sorted({line.split()[-1] for line in maps.splitlines() if "libbitsandbytes" in line})
    return {"cuda": torch.version.cuda, "available": torch.cuda.is_available(), "maps": "\n".join(lines)}


if __name__ == "__main__":
    json.dump(_loaded(), sys.stdout)
