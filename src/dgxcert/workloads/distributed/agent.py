"""Agent: torch's own launcher, in a process of its own that dies with its parent, as each rank dies with it.

    python -m dgxcert.workloads.distributed.agent FOLDER PARENT

One machine, no restarts, a free port of the loopback interface: neither a network nor a name of this host is needed.
"""

import json
import os
import sys
from pathlib import Path

from dgxcert import command
from dgxcert.workloads.distributed.task import Task

LOOPBACK = "127.0.0.1"
EXITS = "exits.json"
"""The exit code of each rank that did not end with 0, by its index; without this file the agent itself has died."""
PROCESS = "dgxcert.workloads.distributed.process"


def main(folder: Path) -> None:
    """Start a process for each device of the folder's task, wait for their end, and keep how they ended."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    task = Task.read(folder)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=len(task.devices),
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{LOOPBACK}:0",
        local_addr=LOOPBACK,  # without it the name of this host is looked up, which can take minutes
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs"), redirects=Std.ALL),
    )
    exits: dict[str, int] = {}
    try:
        elastic_launch(config, sys.executable)("-P", "-m", PROCESS, str(folder), str(os.getpid()))
    except ChildFailedError as error:
        exits = {str(rank): failure.exitcode for rank, failure in error.failures.items()}
    (folder / EXITS).write_text(json.dumps(exits), encoding="utf-8")


if __name__ == "__main__":
    command.die_with_parent(int(sys.argv[2]))
    main(Path(sys.argv[1]))
