"""Configuration: the settings of a machine, and which of them not all machines of a profile have in common. Pure.

Most of it is in every run: system, driver, firmware, image, packages, and what checks recorded of the GPUs. The command
line of the kernel and the settings of a BIOS are in no run: those come with the answer of a host, where it gave one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dgxcert.console import on_one_line
from dgxcert.judgement.evidence import Value
from dgxcert.plan.options import WORKING
from dgxcert.record.room.document import Difference
from dgxcert.record.run import Run

MOST_PARTS = 40
"""Parts of one machine whose firmware is listed, each with a name of its own."""
LONGEST = 300
"""Characters that are kept of a value."""
COMMAND_LINE = "kernel command line"
REPEATED = {"BIOS": "firmware"}
"""What a host answers that its run has by another name."""
OF_ONE_MACHINE = re.compile(r"(root|resume|BOOT_IMAGE|initrd|cryptdevice|rd\.luks\.\S+|nvme\.hostnqn|ip)=\S*")
"""Parameters of a kernel that differ between machines which are set up alike."""

RECORDED = {
    "compute mode": ("GPU-COMPUTE-MODE", "compute mode"),
    "ECC": ("GPU-ECC-MODE", "error correction is on and stays on"),
    "MIG": ("GPU-MIG", "divided into instances (MIG)"),
    "persistence": ("GPU-PERSISTENCE", "persistence"),
    "power limit": ("GPU-POWER-LIMIT", "power limit"),
    "PCIe lanes": ("GPU-LINK", "PCIe lanes"),
    "PCIe generation": ("GPU-LINK", "PCIe generation"),
    "open kernel module": ("DRIVER-AGREES", "open kernel module"),
    "container toolkit": ("DOCKER-GPU", "container toolkit"),
    "API of the engine": ("DOCKER-API", "newest API of the engine"),
    "engine runs as root": ("DOCKER-ROOTFUL", "engine runs as root"),
    "withheld by the command line": ("MEMORY-RESERVED", "withheld by the command line"),
    "highest processor clock allowed": ("CPU-CLOCK", "highest clock that is allowed"),
    "processors": ("CPU-CLOCK", "processors"),
    "limited power": ("POWER-INPUT", "limited power"),
}
"""Settings that checks record as evidence: the requirement and the name there."""
PARTS = ("FIRMWARE-RECORDED", "firmware of the parts")
COLLECTIVE = re.compile(r"collectives\.(?P<operation>\w+)\.(?P<algorithm>\w+)")


def of(run: Run) -> dict[str, str]:
    """The settings of a machine by name, as far as its run has them."""
    settings = {**_of_system(run), **_of_software(run), **_of_evidence(run)}
    return {name: value for name, value in ((_short(name), _short(text)) for name, text in settings.items()) if value}


def answered(given: Mapping[str, str]) -> dict[str, str]:
    """The settings that a host's answer gave, without what differs between machines that are set up alike.

    >>> answered({"kernel command line": "BOOT_IMAGE=/vmlinuz root=UUID=1f quiet iommu.passthrough=0"})
    {'kernel command line': 'quiet iommu.passthrough=0'}
    """
    settings = dict(given)
    if COMMAND_LINE in settings:
        settings[COMMAND_LINE] = " ".join(OF_ONE_MACHINE.sub("", settings[COMMAND_LINE]).split())
    return {_short(name): _short(value) for name, value in settings.items()}


def joined(of_run: Mapping[str, str], of_host: Mapping[str, str]) -> dict[str, str]:
    """All settings of a machine, each once.

    >>> joined({"firmware": "5.36"}, {"BIOS": "5.36", "BIOS date": "08/01/2026"})
    {'firmware': '5.36', 'BIOS date': '08/01/2026'}
    """
    own = {name: value for name, value in of_host.items() if REPEATED.get(name) not in of_run}
    return {**of_run, **{name: value for name, value in own.items() if name not in of_run}}


def _short(text: str) -> str:
    return on_one_line(text)[:LONGEST]


def _of_system(run: Run) -> dict[str, str]:
    machine = run.machine
    memory = "" if machine.memory_gib is None else f"{machine.memory_gib:.0f} GiB"
    return {
        "product": machine.product or "",
        "firmware": machine.firmware or "",
        "DGX OS": machine.dgx_release or "",
        "system": machine.operating_system or "",
        "kernel": machine.kernel,
        "architecture": machine.architecture,
        "processor": machine.cpu or "",
        "processors seen": str(machine.cores),
        "memory": memory,
        "driver": machine.driver or "",
        "CUDA of the driver": machine.cuda_driver or "",
        "GPUs": _each(gpu.product for gpu in machine.gpus),
        "VBIOS": _unique(gpu.vbios or "" for gpu in machine.gpus),
    }


def _of_software(run: Run) -> dict[str, str]:
    settings = {"runtime": run.options.runtime.value, "stack": run.options.stack, "suite": _suite(run)}
    if run.image is not None:
        settings |= {"image": run.image.id.removeprefix("sha256:")[:12], "base image": run.image.base_digest[-12:]}
    software = next((run.software[stage] for stage in WORKING if stage in run.software), None)
    if software is not None:
        settings |= {"Python": software.python, "CUDA of torch": software.cuda or ""}
        settings |= {name: version or "not installed" for name, version in software.packages.items()}
    return settings


def _suite(run: Run) -> str:
    return (run.suite.commit or run.suite.sha256)[:12]


def _of_evidence(run: Run) -> dict[str, str]:
    wanted = {place: name for name, place in RECORDED.items()}
    found: dict[str, list[str]] = {}
    for result in run.results:
        for item in result.evidence:
            if name := wanted.get((result.id, item.name)):
                found.setdefault(name, []).append(_text(item.value, item.unit))
            elif (result.id, item.name) == PARTS:
                found |= {f"firmware of {part}": [version] for part, version in parts(str(item.value))}
            for made in item.held_against:
                if made.limit and (by := COLLECTIVE.fullmatch(made.limit)):
                    found[f"{by['operation']} by"] = [by["algorithm"]]
    return {name: _unique(values) for name, values in found.items()}


def parts(description: str) -> list[tuple[str, str]]:
    """The parts of a machine with the versions of their firmware.

    >>> parts("BIOS 5.36, Embedded Controller 0x03, drive SAMSUNG MZALC4 GXA7801Q")
    [('BIOS', '5.36'), ('Embedded Controller', '0x03'), ('drive SAMSUNG MZALC4', 'GXA7801Q')]
    """
    split = (each.rpartition(" ") for each in description.split(", "))
    return [(part, version) for part, _, version in split if part and part != "none is"][:MOST_PARTS]


def _text(value: Value, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    number = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{number} {unit}".strip()


def _unique(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value))


def _each(values: Iterable[str]) -> str:
    """What there is, and how many: `8 x NVIDIA H200`."""
    counts = Counter(values)
    return ", ".join(f"{count} x {value}" if count > 1 else value for value, count in counts.items())


def differences(
    profile: str, hosts: Sequence[str], configurations: Sequence[Mapping[str, str]]
) -> Iterator[Difference]:
    """The settings that not all machines of a profile have in common, in the order in which runs record them.

    >>> [each.others for each in differences("p", ["a", "b", "c"], [{"kernel": "6"}, {"kernel": "6"}, {"kernel": "7"}])]
    [{'7': ('c',)}]
    """
    for name in dict.fromkeys(name for each in configurations for name in each):
        by_value: dict[str, list[str]] = {}
        for host, configuration in zip(hosts, configurations, strict=True):
            if name in configuration:
                by_value.setdefault(configuration[name], []).append(host)
        if len(by_value) < 2:
            continue
        most = max(by_value, key=lambda value: len(by_value[value]))
        known = sum(map(len, by_value.values()))
        majority = most if 2 * len(by_value[most]) > known else None
        yield Difference(
            profile=profile,
            name=name,
            majority=majority or "",
            count=len(by_value[most]) if majority is not None else 0,
            others={value: tuple(named) for value, named in by_value.items() if value != majority},
            unknown=tuple(
                host for host, configuration in zip(hosts, configurations, strict=True) if name not in configuration
            ),
        )
