"""A simulated machine: a description in YAML, which the driver built from driver.c plays to the real nvidia-ml-py.

docs/faults.md describes the format. In short: fields are named as in `nvidia-smi -q`, in lower case with their unit.
A missing field is that of the product's healthy machine. `like` names the description that this one changes, `each`
holds the fields of single GPUs, `under_load` those of GPUs under load.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml
import yaml
from simulated import engine, links

from dgxcert.machine import cuda_errors

HERE = Path(__file__).parent
MACHINES = HERE / "machines"
LIBRARY, CUDA_LIBRARY = "libnvidia-ml.so.1", "libcuda.so.1"

Form = Callable[[Any], object]
Fields = dict[str, Any]

HEALTHY = {"NVIDIA GB10": "spark-idle", "NVIDIA H100 80GB HBM3": "h100-idle", "NVIDIA H200": "h200-idle"}
"""Product: the healthy machine that provides the fields missing from a description."""
PREFIXES = {"spark": "NVIDIA GB10", "h200": "NVIDIA H200"}
"""How the file of a description without a name begins; any other is an H100's."""

UNSAID = {"unknown", "equal_to_driver_version"}
NVML_ERRORS = {
    name.lower().replace("_", " "): code for name, code in vars(pynvml).items() if name.startswith("NVML_ERROR_")
}
"""What a description may say instead of a value: NVML's names, `NVML_ERROR_TIMEOUT`."""
REFUSALS = NVML_ERRORS | {
    **{message.lower().rstrip("."): code for code, message in pynvml.NVMLError._errcode_to_string.items()},
    "absent": 3,
    "n/a": 3,
    "mismatch": 18,
    "gpu requires reset": 16,
    "requires reset": 16,
    "no permission": 4,
    "unknown error": 999,
    "err!": 999,
}
"""Beside them nvidia-ml-py's messages, and what nvidia-smi prints instead of a figure: `[GPU requires reset]`."""
ACTIONS = {"hangs": "!hangs", "crashes": "!crashes"}
COMPUTE_MODES = ("Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process")
REASONS = {
    "gpu_idle": 0x1,
    "applications_clocks_setting": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake_slowdown": 0x80,
    "display_clock_setting": 0x100,
}
HELD_BACK = 0xEC
"""Event reasons that only a GPU under load has."""
BUSY_PERCENT = 50
COUNTED_S = 10
"""The assumed duration of load in which the counters of a captured machine have grown."""


ACTION_WORDS = {"RESET": "GPU_RESET", "REBOOT": "NODE_REBOOT", "GPU_RESET_REQUIRED": "GPU_RESET"} | {
    "NODE_REBOOT_REQUIRED": "NODE_REBOOT"
}
"""nvidia-smi's and the kernel log's words for recovery actions that the library calls otherwise."""


def switch(value: object) -> int:
    """Enabled and Disabled, or a truth value."""
    return int(value in (True, "Enabled"))


def refusal(value: object) -> str | None:
    """How driver.c is told to refuse; None for a value that it can give.

    >>> refusal("error 16"), refusal("[GPU requires reset]"), refusal("NVML_ERROR_TIMEOUT (10)"), refusal(16)
    ('!16', '!16', '!10', None)
    """
    if not isinstance(value, str):
        return None
    word = value.partition("(")[0].strip(" []").lower().replace("_", " ").rstrip(".")
    if word in ACTIONS:
        return ACTIONS[word]
    number = word.removeprefix("error ")
    if number != word and number.isdigit():
        return f"!{number}"
    return f"!{REFUSALS[word]}" if word in REFUSALS else None


def times(factor: int) -> Form:
    """A number in NVML's unit."""
    return lambda value: round(float(value) * factor)


def named(prefix: str, **others: str) -> Form:
    """One of the library's names after a prefix, in nvidia-smi's spelling: `Drain and Reset`, `In Progress`."""
    known = {name.removeprefix(prefix): code for name, code in vars(pynvml).items() if name.startswith(prefix)}

    def form(value: Any) -> object:
        word = str(value).upper().replace(" ", "_")
        return value if isinstance(value, int) else known[others.get(word, word)]

    return form


def health(value: Any) -> object:
    """The mask of the fabric's health: a number, or the parts that differ from a healthy one, by the library's name."""
    prefix = "NVML_GPU_FABRIC_HEALTH_MASK_"
    if not isinstance(value, dict):
        return int(str(value), 0)
    parts = {"DEGRADED_BW": "FALSE", "ROUTE_UNHEALTHY": "FALSE", "INCORRECT_CONFIGURATION": "NONE"}
    parts |= {str(part).upper(): str(word).upper() for part, word in value.items()}
    shifts = {part: getattr(pynvml, f"{prefix}SHIFT_{part}") for part in parts}
    return sum(getattr(pynvml, f"{prefix}{part}_{word}") << shifts[part] for part, word in parts.items())


MIB, MILLI, ONE = times(1024**2), times(1000), times(1)


def pids(value: Any) -> str:
    """Process ids, given as numbers or as nvidia-smi's entries. NVML refuses to list any or none."""
    if not isinstance(value, list):
        return ""
    if refused := [said for each in value if (said := refusal(each))]:
        return refused[0]
    return ",".join(str(each.get("pid", 1) if isinstance(each, dict) else each) for each in value)


def shares(value: Any) -> str:
    """Percent of the time by process id."""
    return ",".join(f"{pid}:{percent}" for pid, percent in dict(value).items())


def cuda_error(value: Any) -> str:
    """What a call of CUDA returns: its number, or its name in either API."""
    named = cuda_errors.BY_NAME.get(str(value).lower())
    return f"!{named.code if named else int(value)}"


OF_THE_SYSTEM: dict[str, tuple[str, Form]] = {
    "nvml_init": ("init", str),
    "driver_version": ("driver", str),
    "cuda_driver_version": ("cuda", MILLI),
    "device_count": ("count", int),
    "cuda_init": ("cuda.init", cuda_error),
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
    "ecc_errors_correctable_volatile": ("ecc.correctable.volatile", int),
    "ecc_errors_correctable_volatile_per_s": ("ecc.correctable.volatile.per_s", int),
    "ecc_errors_uncorrectable_volatile": ("ecc.uncorrectable.volatile", int),
    "ecc_errors_correctable_aggregate": ("ecc.correctable.aggregate", int),
    "ecc_errors_uncorrectable_aggregate": ("ecc.uncorrectable.aggregate", int),
    "remapped_rows_correctable": ("remapped.correctable", int),
    "remapped_rows_uncorrectable": ("remapped.uncorrectable", int),
    "remapped_rows_pending": ("remapped.pending", switch),
    "remapped_rows_failure": ("remapped.failure", switch),
    "mig_mode_current": ("mig.current", switch),
    "mig_mode_pending": ("mig.pending", switch),
    "compute_mode": ("compute_mode", lambda value: COMPUTE_MODES.index(str(value))),
    "persistence_mode": ("persistence", switch),
    "pcie_link_gen_max": ("pcie.gen.max", int),
    "pcie_link_gen_gpu_max": ("pcie.gen.gpu.max", int),
    "pcie_link_gen_current": ("pcie.gen", ONE),
    "pcie_link_width_max": ("pcie.width.max", int),
    "pcie_link_width_current": ("pcie.width", ONE),
    "performance_state": ("pstate", lambda value: int(str(value).removeprefix("P"))),
    "clocks_event_reasons_hex": ("event_reasons", str),
    "temperature_gpu_c": ("temperature", ONE),
    "power_draw_w": ("power.draw", MILLI),
    "power_limit_requested_w": ("power.limit", MILLI),
    "power_limit_enforced_w": ("power.enforced", MILLI),
    "power_limit_min_w": ("power.min", MILLI),
    "power_limit_max_w": ("power.max", MILLI),
    "power_limit_default_w": ("power.default", MILLI),
    "utilization_gpu_percent": ("utilization.gpu", ONE),
    "utilization_memory_percent": ("utilization.memory", ONE),
    "clock_graphics_mhz": ("clock.graphics", ONE),
    "clock_sm_mhz": ("clock.sm", ONE),
    "clock_memory_mhz": ("clock.memory", ONE),
    "clock_max_graphics_mhz": ("clock.max.graphics", int),
    "clock_max_sm_mhz": ("clock.max.sm", int),
    "clock_max_memory_mhz": ("clock.max.memory", int),
    "clock_max_customer_boost_graphics_mhz": ("clock.boost.graphics", int),
    "event_counter_sw_power_capping_us": ("counter.power_cap", int),
    "event_counter_sync_boost_us": ("counter.sync_boost", int),
    "event_counter_sw_thermal_slowdown_us": ("counter.thermal_software", int),
    "event_counter_hw_thermal_slowdown_us": ("counter.thermal_hardware", int),
    "event_counter_hw_power_braking_us": ("counter.power_brake", int),
    "event_counter_sw_power_capping_us_per_s": ("counter.power_cap.per_s", int),
    "event_counter_sw_thermal_slowdown_us_per_s": ("counter.thermal_software.per_s", int),
    "event_counter_hw_thermal_slowdown_us_per_s": ("counter.thermal_hardware.per_s", int),
    "event_counter_hw_power_braking_us_per_s": ("counter.power_brake.per_s", int),
    "gpu_recovery_action": ("recovery.action", named("NVML_GPU_RECOVERY_ACTION_", **ACTION_WORDS)),
    "reset_required": ("recovery.reset", switch),
    "drain_and_reset_recommended": ("recovery.drain_and_reset", switch),
    "fabric_state": ("fabric.state", named("NVML_GPU_FABRIC_STATE_")),
    "fabric_status": ("fabric.status", lambda value: 0 if value == "Success" else int(value)),
    "fabric_health": ("fabric.health.mask", health),
    "fabric_health_summary": ("fabric.health.summary", named("NVML_GPU_FABRIC_HEALTH_SUMMARY_")),
    "fabric_interface": ("fabric.interface", int),
    "cuda_context": ("cuda.context", cuda_error),
    "speed": ("speed", float),
    "nvlink_count": ("nvlink.count", int),
    "nvlink_state": ("nvlink.state", links.state),
    "nvlink_speed_gbs": ("nvlink.speed", MILLI),
    "nvlink_version": ("nvlink.version", links.version),
    "nvlink_remote": ("nvlink.remote", links.remote),
    "nvlink_fields": ("nvlink.fields", switch),
    "inforom": ("inforom", lambda value: int(value != "valid")),
    "compute_processes": ("processes.compute", pids),
    "graphics_processes": ("processes.graphics", pids),
    "process_utilization_percent": ("processes.utilization", shares),
}
OF_WORK = {
    "performance_state",
    "clocks_event_reasons_hex",
    "temperature_gpu_c",
    "power_draw_w",
    "utilization_gpu_percent",
    "utilization_memory_percent",
    "clock_graphics_mhz",
    "clock_sm_mhz",
    "clock_memory_mhz",
    "pcie_link_gen_current",
    "pcie_link_width_current",
    *(name for name in OF_A_GPU if name.endswith("_per_s")),
}
"""Fields that change under load."""
OF_THE_HOST = {
    "mem_total_gib",
    "mem_available_gib",
    "swap_used_gib",
    "memory_limit_gib",
    "memory_limit_used_gib",
    "memory_limit_cache_gib",
    "memory_limit_file",
    "memory_limit_group",
    "address_space_limit_gib",
    "commit_limit_gib",
    "meminfo",
    "kernel_command_line",
    "cpufreq",
    "firmware_parts",
    "hwmon",
    "thermal_zones",
    "power_supplies",
    "prochot",
    "system_vendor",
    "system_product",
    "virtual",
    "board_name",
    "cpus_offline",
    "cpus_isolated",
    "kernel_release",
    "dgx_release",
    "crash_kernel_mib",
    "cuda_free_gib",
    "kernel_log",
    "kernel_log_begins_s",
    "journal",
    "journal_begins_s",
    "previous_boot_log",
    "edac_ue_count",
    "edac_ce_count",
    "drives",
    "pstore",
    "kernel_module_version",
    "kernel_module_kind",
    "pci_devices",
    *engine.FIELDS,
    "device_files_missing",
    "kernel_modules",
}
"""Fields that host.py and engine.py play, as files and programs of the host."""
ABOUT = {
    "summary",
    "sources",
    "like",
    "each",
    "under_load",
    "under_common_load",
    "cuda_compute_capability",
    "profile",
    "meant_for",
    "cannot_tell",
}

MOMENTS = {"*": "under_load", "+": "under_common_load"}
"""The mark of a GPU in the table, and the field that holds its readings then."""

KNOWN = {*OF_THE_SYSTEM, *OF_A_GPU, *OF_THE_HOST, *links.FIELDS, *ABOUT}
NOT_PLAYED = set((HERE / "not_played.txt").read_text(encoding="ascii").splitlines()[1:])
"""Fields of real machines' listings that no requirement reads."""


@dataclass(frozen=True)
class Machine:
    """A described machine, completed with the fields of the healthy one."""

    name: str
    fields: Fields

    @property
    def gpus(self) -> int:
        """How many GPUs are in the machine; one where the driver refuses to count them."""
        count = self.fields.get("device_count", 0)
        return 1 if refusal(count) else int(count)

    def table(self) -> str:
        """The table that driver.c reads."""
        lines = list(_lines("-", OF_THE_SYSTEM, self.fields))
        for index in range(self.gpus):
            each = self.fields.get("each", {}).get(index, {})
            own = {**self.fields, **each}
            capability = own["cuda_compute_capability"]
            major, _, minor = str(refusal(capability) or capability).partition(".")
            uuid = refusal(own.get("uuid")) or each.get("uuid", f"GPU-{index:08d}-0000-0000-0000-000000000000")
            lines += [f"{index} uuid {uuid}"]
            lines += [f"{index} capability.major {major}", f"{index} capability.minor {minor or major}"]
            if "cuda_init" in each:  # of a single GPU it is what its context returns
                own["cuda_context"] = each["cuda_init"]
            lines += _lines(str(index), OF_A_GPU, own)
            lines += links.lines(index, self.gpus, own, self.fields, _value)
            for mark, when in MOMENTS.items():
                lines += _lines(f"{index}{mark}", OF_A_GPU, {**self.fields.get(when, {}), **each.get(when, {})})
        return "\n".join(lines) + "\n"

    def played(self, folder: Path, library: Path) -> dict[str, str]:
        """Write the table into a folder; the environment in which nvidia-ml-py finds this machine."""
        table = folder / f"{self.name}.table"
        table.write_text(self.table(), encoding="utf-8")
        work = str(folder / f"{self.name}.work")
        library_path = {"LD_LIBRARY_PATH": str(library.parent)}
        return {**os.environ, **library_path, "SIMULATED_DRIVER": str(table), "SIMULATED_WORK": work}


def load(name: str, folder: Path = MACHINES) -> Machine:
    """A machine by the name of its file. Raises ValueError for an unknown field."""
    said = _said(name, folder)
    product = said.get("name") if str(said.get("name")) in HEALTHY else _product_of(name)
    healthy = _said(HEALTHY[product], MACHINES)
    at_work = _at_work(said)
    working = {field: said[field] for field in OF_WORK if field in said} if at_work else {}
    if at_work:
        working |= _growing(said)
    load_ = {**healthy["under_load"], **said.get("under_load", {}), **working}
    fields = {**healthy, **said, "under_load": load_}
    if product != "NVIDIA GB10":  # a datacenter GPU lets customers use its highest clock, as nvidia-smi lists it
        fields.setdefault("clock_max_customer_boost_graphics_mhz", fields["clock_max_sm_mhz"])
    return Machine(name, fields)


def _said(name: str, folder: Path) -> Fields:
    """The fields of a description and of the one that it is `like`. Raises ValueError for an unknown field."""
    path = folder / f"{name}.yaml"
    path = path if path.exists() else MACHINES / path.name
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields = _understood({name: value for name, value in own.items() if not _is_unsaid(value)})
    strange = sorted(set(fields) - {*KNOWN, *NOT_PLAYED} - set(_remarks(fields)))
    if strange:
        raise ValueError(f"{path}: no such field: {', '.join(strange)}; played are: {', '.join(sorted(KNOWN))}")
    if "like" not in fields:
        return fields
    other = _said(str(fields["like"]), folder)
    moments = {when: {**other.get(when, {}), **fields.get(when, {})} for when in MOMENTS.values()}
    return {**other, **fields, **moments}


def _is_unsaid(value: object) -> bool:
    return isinstance(value, str) and not refusal(value) and (value in UNSAID or value.startswith("unknown "))


def _remarks(fields: Fields) -> list[str]:
    """Fields that are remarks on others."""
    return [name for name in fields if name.endswith(("_note", "_range", "_text", "_text_forms"))]


def _product_of(name: str) -> str:
    return next((product for prefix, product in PREFIXES.items() if name.startswith(prefix)), "NVIDIA H100 80GB HBM3")


def _at_work(said: Fields) -> bool:
    """Whether a description is of a machine under load: in P0 and not idle, or with a slowdown."""
    if any(reasons & HELD_BACK for reasons in _numbers(said.get("clocks_event_reasons_hex", 0))):
        return True
    busy = max(_numbers(said.get("utilization_gpu_percent", 100)), default=0)
    return said.get("performance_state") == "P0" and busy >= BUSY_PERCENT


def _numbers(value: object) -> list[int]:
    """The whole numbers of a reading or of a list of them, without what the driver refuses to tell."""
    values = value if isinstance(value, list) else [value]
    told = [each for each in values if isinstance(each, int | float) or (isinstance(each, str) and not refusal(each))]
    return [int(each, 0) if isinstance(each, str) else int(each) for each in told]


def _growing(said: Fields) -> Fields:
    """Growth of the counters of a machine that was captured under load."""
    counters = [name for name in OF_A_GPU if name.startswith("event_counter") and f"{name}_per_s" in OF_A_GPU]
    values = {name: said[name] for name in counters if isinstance(said.get(name), int | float)}
    return {f"{name}_per_s": min(1_000_000, round(value / COUNTED_S)) for name, value in values.items() if value}


def _understood(fields: Fields) -> Fields:
    """Normalise synonyms: named event reasons, other names of power, error counters by location."""
    active = fields.pop("clocks_event_reasons_active", None)
    if active and "clocks_event_reasons_hex" not in fields:
        fields["clocks_event_reasons_hex"] = active if refusal(active) else hex(sum(REASONS[name] for name in active))
    for name in ("power_draw_average_w", "power_draw_instant_w"):
        if fields.get("power_draw_w", "absent") == "absent" and name in fields:
            fields["power_draw_w"] = fields[name]
    for name in OF_WORK:
        reading, ends = fields.get(name), fields.get(f"{name}_range")
        if isinstance(reading, int | float) and isinstance(ends, list):
            fields[name] = [reading, *ends]
    if "power_limit_current_w" in fields:
        fields.setdefault("power_limit_enforced_w", fields.pop("power_limit_current_w"))
    if "power_limit_enforced_w" in fields:
        fields.setdefault("power_limit_requested_w", fields["power_limit_enforced_w"])
    said = str(fields.pop("nvml_return", ""))
    if "(" in said:
        fields["device_handle"] = f"error {said.partition('(')[2].rstrip(')')}"
    for when in ("volatile", "aggregate"):
        for kind in ("correctable", "uncorrectable"):
            counts = [
                value
                for name, value in fields.items()
                if name.startswith("ecc_errors_") and f"_{kind}" in name and name.endswith(when)
            ]
            counts += [fields["ecc_errors_all"]] if "ecc_errors_all" in fields else []
            numbers = [value for value in counts if isinstance(value, int)]
            if numbers:
                fields[f"ecc_errors_{kind}_{when}"] = sum(numbers)
            elif counts:
                fields[f"ecc_errors_{kind}_{when}"] = counts[0]
    return fields


def build(folder: Path) -> Path:
    """Compile the driver and libcuda into a folder; returns the library that nvidia-ml-py loads."""
    for name, source in ((CUDA_LIBRARY, "cuda.c"), (LIBRARY, "driver.c")):
        made = ["-o", str(folder / name), str(HERE / source)]
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *made], check=True)
    return folder / LIBRARY


def _lines(gpu: str, known: dict[str, tuple[str, Form]], fields: Fields) -> Iterator[str]:
    for name, (field, form) in known.items():
        if name not in fields:
            continue
        try:
            yield f"{gpu} {field} {_value(fields[name], form)}"
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{name}: {fields[name]!r} cannot be played: {error}") from error


def _value(value: object, form: Form) -> object:
    """A value as driver.c reads it. A list is played over the load, and may hold refusals; one of pids is a value."""
    if isinstance(value, list) and form is not pids:
        return ",".join(str(_value(each, form)) for each in value)
    return refusal(value) or form(value)
