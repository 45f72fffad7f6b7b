"""The host of a simulated machine: its files under /proc and /sys and its kernel log, for this process and below."""

import os
from pathlib import Path
from typing import Any

from simulated import engine
from simulated.machine import Machine, refusal

from dgxcert.machine import memory_limits
from dgxcert.probes.gpu import cuda_devices, pci
from dgxcert.probes.host import kernel_module, memory
from dgxcert.probes.host.hardware import reserved_memory

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
    kernel_module.VERSION = _written(folder / "version", _kernel_module(fields))
    pci.DEVICES = folder / "pci"
    listed = fields.get("pci_devices", max(1, machine.gpus))
    for index in range(0 if refusal(listed) else int(listed)):
        device = folder / "pci" / f"000{index:x}:01:00.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n", encoding="ascii")
        (device / "class").write_text("0x030200\n", encoding="ascii")
    cuda_devices.DEVICE_FILES = _device_files(machine, folder / "dev")
    modules = fields.get("kernel_modules", ["nvidia", "nvidia_uvm"])
    cuda_devices.MODULES = _written(folder / "modules", "".join(f"{name} 1 0 - Live 0x0\n" for name in modules))
    _play_logs(fields, folder)
    engine.play(fields)


def _play_logs(fields: dict[str, Any], folder: Path) -> None:
    """Play dmesg and journalctl, either of which may be refused, or hold what the other has lost."""
    programs = folder / "bin"
    programs.mkdir()
    kernel = _kernel_log(fields, "kernel_log")
    journal = _kernel_log(fields, "journal") if "journal" in fields else kernel
    for name, text in (("dmesg", kernel), ("journalctl", journal)):
        program = programs / name
        program.write_text(_program(folder / f"{name}.log", text), encoding="utf-8")
        program.chmod(0o755)
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"


def _program(log: Path, text: str | None) -> str:
    """A program that prints a text, or is refused."""
    if text is None:
        return "#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n"
    return f"#!/bin/sh\nexec cat {_written(log, text)}\n"


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
