"""Agent: torch's own launcher, in a process of its own that dies with its parent, as each rank dies with it.

    python -m dgxcert.workloads.distributed.agent FOLDER PARENT

No restarts. On one machine a free port of the loopback interface: neither a network nor a name of this host is needed.
Of several machines each starts one, with a rank of its own, and they meet where the task says.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.workloads.distributed.task import LIBRARY_PATIENCE_S, Task

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
        **_place(task, folder),
        nproc_per_node=len(task.here),
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs"), redirects=Std.ALL),
    )
    exits: dict[str, int] = {}
    try:
        elastic_launch(config, sys.executable)("-P", "-m", PROCESS, str(folder), str(os.getpid()))
    except ChildFailedError as error:
        exits = {str(rank): failure.exitcode for rank, failure in error.failures.items()}
    (folder / EXITS).write_text(json.dumps(exits), encoding="utf-8")


def _place(task: Task, folder: Path) -> dict[str, Any]:
    """Where this launcher and those of other machines meet; without an address this host's name is looked up, which
    can take minutes."""
    if task.meeting is None:
        one = {"min_nodes": 1, "max_nodes": 1, "rdzv_backend": "c10d", "rdzv_endpoint": f"{LOOPBACK}:0"}
        return {**one, "run_id": folder.name, "local_addr": LOOPBACK}
    machines = len(task.meeting.hosts)
    return {
        "min_nodes": machines,
        "max_nodes": machines,
        "run_id": "dgxcert",
        "rdzv_backend": "static",
        "rdzv_endpoint": f"{task.meeting.address}:{task.meeting.port}",
        "rdzv_configs": {"rank": task.meeting.mine, "timeout": int(task.limit_s + LIBRARY_PATIENCE_S)},
        "local_addr": task.meeting.own_address,
    }


if __name__ == "__main__":
    command.die_with_parent(int(sys.argv[2]))
    main(Path(sys.argv[1]))
