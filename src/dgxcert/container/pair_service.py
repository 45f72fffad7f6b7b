"""The container of one end of a pair: the machine's own network and its RDMA devices, and else what a run has."""

import os
from collections.abc import Mapping
from pathlib import Path

from dgxcert.container import engine
from dgxcert.plan import suite

INSIDE = "/results"
RDMA = Path("/dev/infiniband")
"""The character devices by which a program uses RDMA without the kernel; where there are none, NCCL uses sockets."""
NOTHING = "/dev/null"
SERVICES = {"cuda": "pair-gpu", "cpu": "pair"}


def client(
    name: str, image: str, kind: str, folder: Path, limits: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the client that starts the program of one end, which works in `folder`.

    `image` is its id, `kind` that of the device, and `limits` are variables of compose.yaml (`container.limits`).
    """
    args = [*engine.compose(), "-p", "dgxcert", "-f", str(suite.root() / "compose.yaml")]
    args += ["run", "--rm", "-T", "--name", name, SERVICES[kind], "pair-work", INSIDE]
    settings = {
        **limits,
        "DGXCERT_IMAGE": image,
        "DGXCERT_UID": str(os.getuid()),
        "DGXCERT_GID": str(os.getgid()),
        "DGXCERT_RESULTS": str(folder.resolve()),
        "DGXCERT_RDMA": str(RDMA) if RDMA.is_dir() else NOTHING,
        "HF_TOKEN_FILE": "",
    }
    return args, engine.environment(**settings)


def remove(name: str) -> bool:
    """Remove the container; False where the engine did not."""
    try:
        removed = engine.run("rm", "--force", name)
    except OSError:
        return False
    return removed.returncode == 0 or "No such container" in removed.stderr
