"""Has each Python of a host play the host's machine: sitecustomize of the environment that the lab's hosts share.

What a driver and a host say is replaced, as the fault matrix does it. Delivery, plan, supervisor, checks and the
programs that ask the driver are the real ones, started as on a real host.
"""

import ast
import importlib.abc
import importlib.machinery
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

MACHINE = Path("/run/machine")
"""The driver's table, and `fields`: a machine as the fault matrix describes it, as Python writes it."""
PLAYED = MACHINE / "played"
"""What the processes of this host write meanwhile."""
WORKS = PLAYED / "works"
"""There once a validation has a child at work."""
TESTS = "/opt/lab/tests"
OUTSIDE_VIEW = "dgxcert.probes.gpu.sharing.outside_view"
IDENTITY, CHILD = "dgxcert.probes.host.identity", "dgxcert.runner.plugin"
PLUGINS = "integration.room.played_stage,simulated.silicon"


def begin() -> None:
    """Prepare this process, by what it was started as."""
    fields = ast.literal_eval((MACHINE / "fields").read_text(encoding="utf-8"))
    os.environ["SIMULATED_DRIVER"] = str(MACHINE / "driver.table")
    os.environ["SIMULATED_WORK"] = str(PLAYED / "gpu")
    os.environ["SIMULATED_CUDA_FREE_GIB"] = str(fields["cuda_free_gib"])
    sys.meta_path.insert(0, WholeMachine())
    if IDENTITY in sys.orig_argv:
        sys.path.append(TESTS)
        _say_identity()
    if CHILD in sys.orig_argv and "pytest" in sys.orig_argv and "--collect-only" not in sys.orig_argv:
        sys.path.append(TESTS)
        os.environ["PYTEST_PLUGINS"] = PLUGINS
        WORKS.touch()


class WholeMachine(importlib.abc.MetaPathFinder):
    """Has dgxcert take the processes of this host for those of a whole machine, which they play."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        if name != OUTSIDE_VIEW:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                module.OF_THE_HOST = os.readlink("/proc/self/ns/pid")  # type: ignore[attr-defined]

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # of this one module
        return spec


def _say_identity() -> None:
    """Say who this machine is, as the program does that was asked for, and end."""
    from integration.room import played_host

    played_host.play()
    sys.stdout.write(played_host.identity().model_dump_json())
    sys.stdout.flush()
    os._exit(0)  # the program itself would read the computer that plays


if __name__ == "sitecustomize" and MACHINE.is_dir():
    begin()
