"""CUDA's major version, as torch was built for it, as the library that bitsandbytes really loads, and of the driver.

`python -m dgxcert.probes.stack.cuda_libraries` prints what one process has loaded as JSON. It is asked in a fresh
process, since the choice is made once, when bitsandbytes is imported.
"""

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command
from dgxcert.machine.software import version
from dgxcert.outcome import Inconclusive

CHOICE = "BNB_CUDA_VERSION"
LIBRARY = re.compile(r"/(libbitsandbytes_\w+\.so)$", re.MULTILINE)


@dataclass(frozen=True)
class Libraries:
    """`cuda` is torch's, like 13.0; `library` the file of bitsandbytes that is in memory, or why there is none."""

    cuda: str
    library: str
    chosen: str
    """BNB_CUDA_VERSION, which overrides bitsandbytes' own choice; empty where it is not set."""

    @property
    def major(self) -> int:
        """13 of 13.0."""
        return int(self.cuda.partition(".")[0])

    @property
    def of_bitsandbytes(self) -> int:
        """13 of `libbitsandbytes_cuda130.so`; 0 where that is built for no CUDA."""
        found = re.search(r"_cuda(\d\d)\d+", self.library)
        return int(found.group(1)) if found else 0

    @property
    def mend(self) -> tuple[str, ...]:
        """What brings them together: a driver for torch's CUDA, or bitsandbytes' library for it."""
        if self.of_bitsandbytes == self.major:
            return (
                f"Update the driver to one for CUDA {self.major}: sudo apt update && sudo apt full-upgrade (DGX OS)",
                "Restart: sudo reboot",
            )
        if self.chosen:
            return (f"Let bitsandbytes choose: unset {CHOICE}; it is {self.chosen} now, torch is for {self.cuda}.",)
        return (
            f"Look: {sys.executable} -m bitsandbytes",
            f"Take one that has a library for CUDA {self.major}: {sys.executable} -m pip install --no-deps "
            f"--force-reinstall bitsandbytes=={version('bitsandbytes')}",
            f"It has one, for an older CUDA {self.major}: export {CHOICE}={self.major}0",
        )


def read() -> Libraries:
    """Ask a fresh process; raises Inconclusive where torch reaches no GPU: bitsandbytes loads nothing then."""
    asked = command.run([sys.executable, "-P", "-m", "dgxcert.probes.stack.cuda_libraries"], timeout_s=120)
    if asked.returncode != 0:
        raise Inconclusive(f"bitsandbytes could not be loaded: {asked.complaint}", "See STACK-IMPORT first.")
    return parse(json.loads(asked.stdout.strip().splitlines()[-1]), os.environ.get(CHOICE, ""))


def parse(answer: dict[str, object], chosen: str) -> Libraries:
    """What the fresh process said; raises what `read` raises."""
    if not answer["cuda"] or not answer["available"]:
        raise Inconclusive("torch reaches no GPU, so bitsandbytes loads no CUDA library", "See GPU-CUDA first.")
    found = LIBRARY.findall(str(answer["maps"]))
    return Libraries(str(answer["cuda"]), found[0] if found else "none was loaded", chosen)


def _loaded() -> dict[str, object]:
    import bitsandbytes  # noqa: F401 (loads its library)
    import torch

    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    lines = sorted({line.split()[-1] for line in maps.splitlines() if "libbitsandbytes" in line})
    return {"cuda": torch.version.cuda, "available": torch.cuda.is_available(), "maps": "\n".join(lines)}


if __name__ == "__main__":
    json.dump(_loaded(), sys.stdout)
