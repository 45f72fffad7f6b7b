"""The host of a simulated machine: its files under /proc and /sys and its kernel log, for this process and below."""

import contextlib
import os
from pathlib import Path
from typing import Any

from simulated import engine, links
from simulated.machine import Machine, refusal
from simulated.silicon import ONE_WORKED

from dgxcert.machine import memory_limits
from dgxcert.probes.gpu import cuda_devices, pci
from dgxcert.probes.host import identity, kernel_module, memory
from dgxcert.probes.host.hardware import cpu_clock, firmware, known_versions, reserved_memory, sensors
from dgxcert.probes.host.log import counters, last_boot

KIB_PER_GIB = 1024**2
BYTES_PER_GIB = 1024**3
COMMAND_LINE = "BOOT_IMAGE=/boot/vmlinuz root=UUID=0 ro quiet splash crashkernel=1G-:0M pci=pcie_bus_safe"
"""As DGX OS starts a Spark, without a crash kernel."""
BOOT = "[    0.000000] Linux version 6.17.0-1021-nvidia (buildd@bos03-arm64-001) #21-Ubuntu SMP PREEMPT_DYNAMIC"


def play(machine: Machine, folder: Path) -> None:
    """Replace the host that this process reads; it cannot be undone, so only for a process that judges this machine."""
    fields = machine.fields
    memory.MEMINFO = _written(folder / "meminfo", _meminfo(fields))
    memory_limits.PROC = _limits(folder, fields)
    line = str(fields.get("kernel_command_line", COMMAND_LINE))
    reserved_memory.CMDLINE = _written(folder / "cmdline", f"{line}\n")
    crash_kernel = int(fields.get("crash_kernel_mib", 0)) * 1024**2
    reserved_memory.CRASH_SIZE = _written(folder / "kexec_crash_size", f"{crash_kernel}\n")
    parts = firmware.Firmware(dict(fields.get("firmware_parts", {})))
    firmware.read = lambda: parts
    identity.DMI = _dmi(fields, folder / "dmi")
    known_versions.VENDOR = identity.DMI / "sys_vendor"
    _play_processors(fields, folder / "cpu")
    _play_sensors(fields, folder / "sys")
    kernel_module.VERSION = _written(folder / "version", _kernel_module(fields))
    pci.DEVICES = folder / "pci"
    listed = fields.get("pci_devices", max(1, machine.gpus))
    for index in range(0 if refusal(listed) else int(listed)):
        device = folder / "pci" / links.bus_id(index)
        device.mkdir(parents=True)
        node = links.node_of(index, machine.gpus, {**fields, **fields.get("each", {}).get(index, {})})
        says = {"vendor": "0x10de", "class": "0x030200", "numa_node": str(node)}
        for name, value in says.items():
            _written(device / name, f"{value}\n")
    cuda_devices.DEVICE_FILES = _device_files(machine, folder / "dev")
    modules = fields.get("kernel_modules", ["nvidia", "nvidia_uvm"])
    cuda_devices.MODULES = _written(folder / "modules", "".join(f"{name} 1 0 - Live 0x0\n" for name in modules))
    _play_logs(fields, folder)
    engine.play(fields)
    _play_counters(fields, folder)


def _dmi(fields: dict[str, Any], folder: Path) -> Path:
    """The firmware's table of names; a machine whose description gives no product has none that can be read."""
    folder.mkdir()
    names = {"product_name": "system_product", "sys_vendor": "system_vendor", "board_name": "board_name"}
    known = {file: fields[field] for file, field in names.items() if field in fields}
    for file, text in {"sys_vendor": "NVIDIA", **known}.items():
        _written(folder / file, f"{text}\n")
    return folder


def _play_counters(fields: dict[str, Any], folder: Path) -> None:
    """Play sysfs of EDAC and of drives."""
    counters.EDAC, counters.NVME, counters.BLOCK = folder / "edac", folder / "nvme", folder / "block"
    counts = {"ue_count": fields.get("edac_ue_count", 0), "ce_count": fields.get("edac_ce_count", 0)}
    files = {counters.EDAC / "mc0" / name: count for name, count in counts.items()}
    for name, state in fields.get("drives", {"nvme0": "live"}).items():
        scsi = name.startswith("sd")
        files[counters.BLOCK / name / "device" / "state" if scsi else counters.NVME / name / "state"] = state
    for path, value in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _written(path, f"{value}\n")


GB10_CPUFREQ = (
    {"count": 10, "min_mhz": 338, "max_mhz": 2860},
    {"count": 10, "min_mhz": 1378, "max_mhz": 4004},
)
"""Ten Cortex-A725 and ten Cortex-X925."""


def _play_processors(fields: dict[str, Any], folder: Path) -> None:
    """Play the clocks of groups of cores; only a GB10, told by its capability, has them without being told."""
    groups = fields.get("cpufreq", GB10_CPUFREQ if fields.get("cuda_compute_capability") == "12.1" else ())
    cores = [group for group in groups for _ in range(int(group["count"]))]
    folder.mkdir()
    for index, group in enumerate(cores):
        scaling = folder / f"cpu{index}" / "cpufreq"
        scaling.mkdir(parents=True)
        highest = group["max_mhz"]
        clocks = {
            "cpuinfo_min_freq": group["min_mhz"],
            "cpuinfo_max_freq": highest,
            "scaling_max_freq": group.get("limit_mhz", highest),
            "scaling_cur_freq": group.get("busy_mhz", highest),
        }
        for name, mhz in clocks.items():
            _written(scaling / name, f"{round(float(mhz) * 1000)}\n")
        _written(scaling / "scaling_governor", f"{group.get('governor', 'schedutil')}\n")
        _written(scaling / "scaling_driver", f"{group.get('driver', 'cppc_cpufreq')}\n")
    everything = set(range(len(cores) or 8))
    offline = set(fields.get("cpus_offline", []))
    for name, cpus in (("present", everything), ("online", everything - offline)):
        _written(folder / name, ",".join(map(str, sorted(cpus))) + "\n")
    _written(folder / "isolated", ",".join(map(str, fields.get("cpus_isolated", []))) + "\n")
    cpu_clock.CPUS, cpu_clock.BUSY_S = folder, 0.002
    cpu_clock.pinned = lambda core: contextlib.nullcontext()  # type: ignore[assignment]  # not of the machine that plays


def _play_sensors(fields: dict[str, Any], folder: Path) -> None:
    """Play hwmon, thermal zones, power supplies and PROCHOT; of two values the second holds once there was load."""
    groups = {
        "class/hwmon/hwmon": fields.get("hwmon", []),
        "class/thermal/thermal_zone": fields.get("thermal_zones", []),
        "class/power_supply/": fields.get("power_supplies", {}),
        "bus/platform/devices/NVDA8800:0": [{"prochot": fields["prochot"]}] if "prochot" in fields else [],
    }
    values = {
        folder / f"{path}{key}" / name: value if isinstance(value, list) else [value]
        for path, group in groups.items()
        for key, files in (group.items() if isinstance(group, dict) else enumerate(group))
        for name, value in files.items()
    }

    def write(moment: int) -> None:
        for path, value in values.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _written(path, f"{value[moment]}\n")

    def read() -> sensors.Sensors:
        write(-1 if Path(f"{os.environ['SIMULATED_WORK']}{ONE_WORKED}").exists() else 0)
        return actual()

    actual = sensors.read
    sensors.SYS, sensors.AGAIN_S, sensors.read = folder, 0.01, read


def _play_logs(fields: dict[str, Any], folder: Path) -> None:
    """Play dmesg and journalctl, either of which may be refused, or hold what the other has lost."""
    programs = folder / "bin"
    programs.mkdir()
    kernel = _kernel_log(fields, "kernel_log")
    journal = _kernel_log(fields, "journal") if "journal" in fields else kernel
    ended = folder / "last_boot.log"
    last_boot.PSTORE = (folder / "pstore",)
    last_boot.PSTORE[0].mkdir()
    for number, record in enumerate(fields.get("pstore", ())):
        _written(last_boot.PSTORE[0] / f"dmesg-efi-{number}", str(record))
    before = _program(ended, _last_boot(fields), NO_BOOT if fields.get("previous_boot_log") == "absent" else REFUSED)
    programs_of = {
        "dmesg": _program(folder / "dmesg.log", kernel),
        "journalctl": f'case " $* " in *" -b -1 "*) {before};; esac\n{_program(folder / "journal.log", journal)}',
    }
    for name, text in programs_of.items():
        program = programs / name
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"


REFUSED = "Operation not permitted"
NO_BOOT = "Data from the specified boot (-1) is not available: No such boot ID in journal"
ORDERLY = "[ 9000.1] host systemd[1]: Reached target reboot.target - System Reboot."


def _last_boot(fields: dict[str, Any]) -> str | None:
    """The end of the journal of the boot before; None where it is `no_permission` or `absent`."""
    lines = fields.get("previous_boot_log", [ORDERLY])
    if isinstance(lines, str):
        return None
    return "".join(f"{line if line.startswith('[') else f'[ 8999.0] host kernel: {line}'}\n" for line in lines)


def _program(log: Path, text: str | None, refusal: str = REFUSED) -> str:
    """Commands that print a text, or are refused."""
    return f"echo '{refusal}' >&2; exit 1" if text is None else f"exec cat {_written(log, text)}"


def _device_files(machine: Machine, folder: Path) -> Path:
    folder.mkdir()
    names = {"nvidiactl", "nvidia-uvm", *(f"nvidia{index}" for index in range(machine.gpus))}
    for name in names - set(machine.fields.get("device_files_missing", [])):
        (folder / name).touch()
    return folder


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _limits(folder: Path, fields: dict[str, Any]) -> Path:
    """A /proc that shows one control group with the machine's limit, or none, and the other limits of a process."""
    proc, groups = folder / "proc", folder / "cgroup"
    for each in (proc / "self", proc / "sys/vm", groups):
        each.mkdir(parents=True)
    name = str(fields.get("memory_limit_file", "memory.max"))
    group = str(fields.get("memory_limit_group", "/user.slice/user-1000.slice"))
    version = 1 if name.endswith("_in_bytes") else 2
    kind = "cgroup cgroup rw,memory" if version == 1 else "cgroup2 cgroup2 rw"
    _written(proc / "self/mountinfo", f"31 23 0:28 / {groups} rw - {kind}\n")
    _written(proc / "self/cgroup", f"4:memory:{group}\n" if version == 1 else f"0::{group}\n")
    if "memory_limit_gib" in fields:
        own = groups / group.lstrip("/")
        own.mkdir(parents=True, exist_ok=True)
        cache, used = (fields.get(f"memory_limit_{part}_gib", 0) for part in ("cache", "used"))
        _written(own / name, f"{round(fields['memory_limit_gib'] * BYTES_PER_GIB)}\n")
        charged = "memory.current" if version == 2 else name.replace("limit", "usage")
        _written(own / charged, f"{round((used + cache) * BYTES_PER_GIB)}\n")
        _written(own / "memory.stat", f"inactive_file {round(cache * BYTES_PER_GIB)}\n")
    if "address_space_limit_gib" in fields:
        size = round(fields["address_space_limit_gib"] * BYTES_PER_GIB)
        _written(proc / "self/limits", f"Max address space         {size}           {size}           bytes\n")
    if "commit_limit_gib" in fields:
        _written(proc / "sys/vm/overcommit_memory", "2\n")
        size = round(fields["commit_limit_gib"] * KIB_PER_GIB)
        _written(proc / "meminfo", f"CommitLimit: {size} kB\nCommitted_AS: 0 kB\n")
    return proc


def _meminfo(fields: dict[str, Any]) -> str:
    swap_gib = 15
    available, swapped = fields["mem_available_gib"], fields.get("swap_used_gib", 0)
    gib = {
        "MemTotal": fields["mem_total_gib"],
        "MemFree": available if refusal(available) else available / 2,
        "MemAvailable": available,
        "SwapTotal": swap_gib,
        "SwapFree": swapped if refusal(swapped) else swap_gib - swapped,
    }
    told = {name: each for name, each in gib.items() if not refusal(each)}
    lines = [f"{name}: {round(each * KIB_PER_GIB)} kB" for name, each in told.items()]
    more = {"Hugepagesize": 2048, **fields.get("meminfo", {})}
    lines += [f"{name}: {value}{'' if name.startswith('HugePages') else ' kB'}" for name, value in more.items()]
    return "\n".join(lines) + "\n"


def _kernel_module(fields: dict[str, Any]) -> str:
    version = fields.get("kernel_module_version", fields.get("driver_version"))
    if refusal(version):
        return ""
    kind = {"open": "Open Kernel Module for aarch64", "proprietary": "aarch64 Kernel Module"}
    name = kind[str(fields.get("kernel_module_kind", "open"))]
    return f"NVRM version: NVIDIA UNIX {name}  {version}  Release Build  (dvs-builder@U22-I3-AF04-07-5)\n"


def _kernel_log(fields: dict[str, Any], name: str) -> str | None:
    """The text of a log of this boot; None where it is `no_permission`."""
    if fields.get(name) == "no_permission":
        return None
    lines = [str(line) for line in fields.get(name, [])]
    begins_s = float(fields.get(f"{name}_begins_s", 0))
    stamped = [line if line.startswith("[") else f"[ {begins_s + 1024:.6f}] {line}" for line in lines]
    return "\n".join([*([] if begins_s else [BOOT]), *stamped]) + "\n"
