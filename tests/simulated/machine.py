"""A simulated machine: a description in YAML, played to the real nvidia-ml-py by the driver that driver.c builds.

A description names fields as nvidia-smi's long listing does, in lower case with their unit; `like` names another one
that it differs from, `each` what single GPUs say otherwise. In place of a value may stand what a driver does instead of
answering: `not_supported`, `gpu_is_lost`, `hangs`, `crashes` or `error N`.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
MACHINES = HERE / "machines"
LIBRARY = "libnvidia-ml.so.1"

Form = Callable[[Any], object]

INSTEAD = {"not_supported": "!3", "unknown": "!3", "absent": "!3", "gpu_is_lost": "!15", "mismatch": "!18"}
DOES = {"hangs": "!hangs", "crashes": "!crashes"}
COMPUTE_MODES = ("Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process")


def switch(value: object) -> int:
    """Enabled and Disabled, or a truth value."""
    return int(value in (True, "Enabled"))


def times(factor: int) -> Form:
    """A number in a unit of NVML's own."""
    return lambda value: round(float(value) * factor)


MIB = times(1024**2)

OF_THE_SYSTEM: dict[str, tuple[str, Form]] = {
    "nvml_init": ("init", str),
    "driver_version": ("driver", str),
    "cuda_driver_version": ("cuda", lambda value: round(float(value) * 1000)),
    "device_count": ("count", int),
}
OF_A_GPU: dict[str, tuple[str, Form]] = {
    "device_handle": ("handle", str),
    "name": ("name", str),
    "serial": ("serial", str),
    "vbios_version": ("vbios", str),
    "fb_memory_total_mib": ("memory.total", MIB),
    "fb_memory_free_mib": ("memory.free", MIB),
    "fb_memory_used_mib": ("memory.used", MIB),
    "ecc_mode_current": ("ecc.current", switch),
    "ecc_mode_pending": ("ecc.pending", switch),
    "ecc_errors_dram_correctable_volatile": ("ecc.correctable.volatile", int),
    "ecc_errors_dram_uncorrectable_volatile": ("ecc.uncorrectable.volatile", int),
    "ecc_errors_dram_correctable_aggregate": ("ecc.correctable.aggregate", int),
    "ecc_errors_dram_uncorrectable_aggregate": ("ecc.uncorrectable.aggregate", int),
    "remapped_rows_correctable": ("remapped.correctable", int),
    "remapped_rows_uncorrectable": ("remapped.uncorrectable", int),
    "remapped_rows_pending": ("remapped.pending", switch),
    "remapped_rows_failure": ("remapped.failure", switch),
    "mig_mode_current": ("mig.current", switch),
    "mig_mode_pending": ("mig.pending", switch),
    "compute_mode": ("compute_mode", COMPUTE_MODES.index),
    "persistence_mode": ("persistence", switch),
    "pcie_link_gen_max": ("pcie.gen.max", int),
    "pcie_link_gen_current": ("pcie.gen", int),
    "pcie_link_width_max": ("pcie.width.max", int),
    "pcie_link_width_current": ("pcie.width", int),
    "performance_state": ("pstate", lambda value: int(str(value).removeprefix("P"))),
    "clocks_event_reasons_hex": ("event_reasons", str),
    "temperature_gpu_c": ("temperature", int),
    "power_draw_w": ("power.draw", times(1000)),
    "power_limit_current_w": ("power.limit", times(1000)),
    "power_limit_enforced_w": ("power.enforced", times(1000)),
    "power_limit_default_w": ("power.default", times(1000)),
    "utilization_gpu_percent": ("utilization.gpu", int),
    "utilization_memory_percent": ("utilization.memory", int),
    "clock_graphics_mhz": ("clock.graphics", int),
    "clock_sm_mhz": ("clock.sm", int),
    "clock_memory_mhz": ("clock.memory", int),
    "clock_max_graphics_mhz": ("clock.max.graphics", int),
    "clock_max_sm_mhz": ("clock.max.sm", int),
    "clock_max_memory_mhz": ("clock.max.memory", int),
    "compute_processes": ("processes.compute", lambda pids: ",".join(map(str, pids))),
    "graphics_processes": ("processes.graphics", lambda pids: ",".join(map(str, pids))),
}
ABOUT = {"summary", "sources", "like", "each", "cuda_compute_capability"}


@dataclass(frozen=True)
class Machine:
    """A described machine."""

    name: str
    fields: dict[str, Any]

    def table(self) -> str:
        """What driver.c reads. Raises ValueError for a field that it does not play."""
        known = {*OF_THE_SYSTEM, *OF_A_GPU, *ABOUT}
        strange = sorted(set(self.fields) - known)
        if strange:
            raise ValueError(f"{self.name}: no such field: {', '.join(strange)}; known: {', '.join(sorted(known))}")
        lines = list(_lines("-", OF_THE_SYSTEM, self.fields))
        for index in range(self.fields.get("device_count", 0)):
            own = {**self.fields, **self.fields.get("each", {}).get(index, {})}
            major, _, minor = str(own["cuda_compute_capability"]).partition(".")
            lines += [f"{index} uuid GPU-{index:08d}-0000-0000-0000-000000000000"]
            lines += [f"{index} capability.major {major}", f"{index} capability.minor {minor}"]
            lines += _lines(str(index), OF_A_GPU, own)
        return "\n".join(lines) + "\n"

    def played(self, folder: Path, library: Path) -> dict[str, str]:
        """Write the table into a folder; returns the environment in which nvidia-ml-py meets this machine."""
        table = folder / f"{self.name}.table"
        table.write_text(self.table(), encoding="utf-8")
        return {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "SIMULATED_DRIVER": str(table)}


def load(name: str, folder: Path = MACHINES) -> Machine:
    """A machine by the name of its file, with what it takes over from the one that it is `like`."""
    fields = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    if "like" in fields:
        fields = {**load(fields["like"], folder).fields, **fields}
    return Machine(name, fields)


def build(folder: Path) -> Path:
    """Compile the driver into a folder; returns the library that nvidia-ml-py loads."""
    library = folder / LIBRARY
    compiler = ["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(HERE / "driver.c")]
    subprocess.run(compiler, check=True)
    return library


def _lines(gpu: str, known: dict[str, tuple[str, Form]], fields: dict[str, Any]) -> Iterator[str]:
    for name, (field, form) in known.items():
        if name in fields:
            yield f"{gpu} {field} {_value(fields[name], form)}"


def _value(value: object, form: Form) -> object:
    if isinstance(value, str):
        if value in INSTEAD:
            return INSTEAD[value]
        if value in DOES:
            return DOES[value]
        if value.startswith("error "):
            return f"!{value.removeprefix('error ')}"
    return form(value)
