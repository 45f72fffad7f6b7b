"""Process: what runs as one rank: binds itself to its device, joins the others, does the work, and says how it ended.

    python -m dgxcert.workloads.distributed.process FOLDER AGENT

torch's launcher starts it, with the rank in its environment.
"""

import contextlib
import datetime
import faulthandler
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.distributed import phase, placement
from dgxcert.workloads.distributed.task import LIBRARY_PATIENCE_S, RankFiles, Task

LINGER_S = 2.0
"""A rank that meets an error waits so long before it ends: the one that caused it has then ended first, and is named.
Closing a GPU takes a process up to a second after its connections are closed."""


def main(folder: Path) -> int:
    """Do the work of this rank; returns the exit code of the process."""
    index = int(os.environ["RANK"])
    files = RankFiles(folder, index)
    phase.keep(files.phases)
    phase.enter("starting")
    os.environ["NCCL_DEBUG_FILE"] = str(files.nccl)
    with files.stack.open("w") as stack:
        faulthandler.register(signal.SIGUSR1, file=stack, all_threads=False)  # the launcher asks one that hangs
        try:
            answer: dict[str, Any] = {"returned": _work(Task.read(folder), index, files)}
        except (Wrong, Inconclusive) as error:
            answer = {"raised": type(error).__name__, "problem": error.problem, "remedy": error.remedy}
        except Exception as error:
            traceback.print_exc()
            answer = {"raised": type(error).__name__, "problem": str(error)}
        answer |= {"at_s": time.monotonic()}
        _keep(files, answer)
        if "raised" in answer:
            time.sleep(LINGER_S)
            _keep(files, answer | {"gone": gone(folder, int(os.environ["WORLD_SIZE"]))})
            return 1
        _leave()
        faulthandler.unregister(signal.SIGUSR1)
    return 0


def _keep(files: RankFiles, answer: dict[str, Any]) -> None:
    written = files.answer.with_suffix(".new")
    written.write_text(json.dumps(answer), encoding="utf-8")
    written.replace(files.answer)


def _work(task: Task, index: int, files: RankFiles) -> int:
    """Do the jobs in turn, and keep what each returned as soon as it has; the number of jobs."""
    rank = task.rank(index)
    phase.enter("loading torch")
    import torch
    import torch.distributed as dist

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // rank.beside))  # as torchrun says: all share them
    phase.enter("loading the work")
    works = [importlib.import_module(job.module).work for job in task.jobs]
    phase.enter("starting its device")
    if rank.device.kind == "cuda":
        placement.bind(rank)
        torch.cuda.set_device(rank.device.index)
        torch.zeros(1, device=rank.device.name)  # makes the context, so that its errors are told from those of joining
    phase.enter("joining the others")
    bound = {"device_id": torch.device(rank.device.name)} if task.backend == "nccl" else {}
    patience = datetime.timedelta(seconds=task.limit_s + LIBRARY_PATIENCE_S)
    dist.init_process_group(task.backend, timeout=patience, **bound)
    with files.done.open("w", encoding="utf-8") as done:
        for work, job in zip(works, task.jobs, strict=True):
            phase.enter("beginning its work")
            done.write(f"{json.dumps(work(rank, job.settings))}\n")
            done.flush()
            if len(works) > 1:
                rank.device.release()  # memory that the next job needs
    return len(works)


def _leave() -> None:
    import torch.distributed as dist

    phase.enter("leaving the others")
    dist.destroy_process_group()
    phase.enter("ending")


def gone(folder: Path, size: int) -> list[int]:
    """The ranks whose process has ended: it is none any more, or a zombie that its parent has not asked for."""
    ended = []
    for index in range(size):
        with contextlib.suppress(OSError):
            begun = phase.parse(RankFiles(folder, index).phases.read_text(encoding="utf-8"))
            if begun and not _lives(begun[0].pid):
                ended.append(index)
    return ended


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


if __name__ == "__main__":
    command.die_with_parent(int(sys.argv[2]))
    sys.exit(main(Path(sys.argv[1])))
