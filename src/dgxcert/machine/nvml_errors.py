"""NVML's errors: what each means for the machine, and what to do. One table, wherever a refusal of the driver is shown.

Codes and names are those of nvmlReturn_t in nvml.h (driver 595), and of nvidia-ml-py, with whose constants a test
compares this table.
"""

import re
from dataclasses import dataclass

from dgxcert.machine.trait import Trait

NOT_SUPPORTED, FUNCTION_NOT_FOUND, INVALID_ARGUMENT, VERSION_MISMATCH = 3, 13, 2, 25
ABSENT = frozenset({FUNCTION_NOT_FOUND, INVALID_ARGUMENT, VERSION_MISMATCH})
"""How a driver refuses a question that is newer than itself: a function, a field or a version of a structure."""

MESSAGES = "Keep the driver's own messages with this run folder: sudo dmesg | grep -iE 'nvrm|xid'"
RESTART = (
    "Run `nvidia-smi`. If it hangs or crashes too, the driver is stuck: sudo reboot",
    MESSAGES,
)
BY_READING = (
    "Run `nvidia-smi -q` and look for that figure.",
    "Not Supported on every machine of this type: mark the requirement as not applicable in its profile.",
)
BY_UPDATE = (
    "Run `nvidia-smi` and read the driver's version: this question is newer than that.",
    Trait.DGX_OS.only("Update the driver: sudo apt update && sudo apt full-upgrade; sudo reboot"),
    Trait.OTHER_OS.only("Update the driver, on Ubuntu: sudo apt install nvidia-driver-580-open; sudo reboot"),
)
BY_RESET = (
    "Stop all programs on the GPU (nvidia-smi lists them), and what keeps it open: sudo nvidia-smi -pm 0; "
    "afterwards -pm 1.",
    "Reset it, together with every GPU that NVLink joins to it: sudo nvidia-smi --gpu-reset -i N",
    "Restart the machine if it cannot be reset, or if that is not enough: sudo reboot",
    MESSAGES,
    "Open a hardware case with this run folder if it wants a reset again.",
)
"""NVIDIA forum 364499, leptonai/gpud#1133; persistence mode keeps a GPU from being reset: NVIDIA/NVSentinel#1692."""
BY_BUS = (
    "Read why it fell off the bus: sudo dmesg | grep -iE 'nvrm|xid|pcie'",
    "Restart the machine: sudo reboot; a reset does not reach a GPU that is off the bus.",
    Trait.PHYSICAL.only("Shut down, unplug the power for a minute and start again if it is still missing."),
    Trait.CARD.only("Shut down, reseat the card and its power cables, and start again."),
    "Open a hardware case with this run folder if it is lost again.",
)
BY_LOADING = (
    "Look for the module, and why it is not loaded: cat /proc/driver/nvidia/version; sudo dmesg | grep -i nvrm",
    "Load it: sudo modprobe nvidia",
    Trait.OTHER_OS.only("Build it for this kernel if there is none: sudo dkms autoinstall; sudo reboot"),
    Trait.DGX_OS.only("Finish an update that stopped half-way: sudo apt update && sudo apt full-upgrade; sudo reboot"),
)
BY_POWER = (
    "Read what the driver says about power: sudo dmesg | grep -i nvrm; nvidia-smi -q -d POWER",
    Trait.CARD.only("Shut down and plug in every power cable of the card."),
    "Check the power supplies of a server: sudo ipmitool sdr type 'Power Supply'",
)
BY_RIGHTS = (
    "Look who may open the device files: ls -l /dev/nvidia*; id",
    "Ask it as root if only root may: sudo nvidia-smi -q",
)
BY_INFOROM = (
    "Read what nvidia-smi says at its end: nvidia-smi -q | grep -i inforom",
    "Shut down, wait a minute and start again: it is read at each start.",
    "Open a hardware case with this run folder if it is still corrupted: the GPU keeps its identity and error counters "
    "there, and no update writes it again.",
)
BY_MEMORY = (
    "Look for memory: free -h; nvidia-smi",
    "End what is not needed, then run this again.",
)
BY_WAITING = (
    "Wait a minute, then run this again: another program may hold the driver.",
    *RESTART,
)


@dataclass(frozen=True)
class NvmlError:
    """One error: NVML's code and name, nvidia-smi's words, and what causes and cures it.

    >>> find(16).meaning
    'after a fault the GPU works only again when it has been reset'
    """

    code: int
    name: str
    words: tuple[str, ...]
    meaning: str
    remedy: tuple[str, ...]

    def remedy_for(self, index: int) -> tuple[str, ...]:
        """The remedy with the number of a GPU in it.

        >>> find(16).remedy_for(3)[1]
        'Reset it, together with every GPU that NVLink joins to it: sudo nvidia-smi --gpu-reset -i 3'
        """
        return tuple(step.replace("-i N", f"-i {index}") for step in self.remedy)


TABLE = (
    NvmlError(1, "UNINITIALIZED", (), "NVML was not started", RESTART),
    NvmlError(2, "INVALID_ARGUMENT", (), "this driver does not know the question", BY_UPDATE),
    NvmlError(3, "NOT_SUPPORTED", (), "this GPU has no such thing", BY_READING),
    NvmlError(4, "NO_PERMISSION", ("Insufficient Permissions",), "this user may not ask that", BY_RIGHTS),
    NvmlError(5, "ALREADY_INITIALIZED", (), "NVML was started twice", RESTART),
    NvmlError(6, "NOT_FOUND", (), "the driver has no such thing now", BY_READING),
    NvmlError(
        7, "INSUFFICIENT_SIZE", (), "there was more to tell than fits: things change while they are read", RESTART
    ),
    NvmlError(
        8, "INSUFFICIENT_POWER", ("Insufficient External Power",), "a power cable of the GPU is not in", BY_POWER
    ),
    NvmlError(9, "DRIVER_NOT_LOADED", ("driver not loaded",), "the kernel module nvidia is not loaded", BY_LOADING),
    NvmlError(10, "TIMEOUT", (), "the GPU did not answer the driver in time", BY_RESET),
    NvmlError(
        11,
        "IRQ_ISSUE",
        ("Interrupt Request Issue",),
        "the GPU's interrupts do not reach the driver",
        (*BY_BUS[:2], MESSAGES),
    ),
    NvmlError(
        12, "LIBRARY_NOT_FOUND", ("libnvidia-ml.so.1: cannot open",), "the driver's library is missing", BY_LOADING
    ),
    NvmlError(13, "FUNCTION_NOT_FOUND", ("Function Not Found",), "this driver is older than the question", BY_UPDATE),
    NvmlError(
        14,
        "CORRUPTED_INFOROM",
        ("Corrupted infoROM", "infoROM is corrupted"),
        "the GPU's own record of its identity and errors is damaged",
        BY_INFOROM,
    ),
    NvmlError(15, "GPU_IS_LOST", ("GPU is lost", "fallen off the bus"), "the GPU fell off the bus", BY_BUS),
    NvmlError(
        16,
        "RESET_REQUIRED",
        ("GPU requires reset", "GPU requires restart"),
        "after a fault the GPU works only again when it has been reset",
        BY_RESET,
    ),
    NvmlError(
        17,
        "OPERATING_SYSTEM",
        ("operating system has blocked",),
        "the system forbids it: a cgroup or a container hides the device files",
        BY_RIGHTS,
    ),
    NvmlError(
        18,
        "LIB_RM_VERSION_MISMATCH",
        ("Driver/library version mismatch", "NVML/RM version mismatch"),
        "library and kernel module have different versions: the driver was updated without a restart",
        (
            "Compare the versions: cat /proc/driver/nvidia/version; nvidia-smi --version",
            "Restart to load the kernel module of the new version: sudo reboot",
        ),
    ),
    NvmlError(
        19,
        "IN_USE",
        ("In use by another client",),
        "another program has the GPU",
        (
            "List what uses it, nvidia-persistenced and DCGM too: nvidia-smi; sudo nvidia-smi -pm 0",
            "Run this again when it is free.",
        ),
    ),
    NvmlError(20, "MEMORY", ("Insufficient Memory",), "the system has no memory left for the driver", BY_MEMORY),
    NvmlError(21, "NO_DATA", (), "the driver has no readings yet", BY_WAITING),
    NvmlError(22, "VGPU_ECC_NOT_SUPPORTED", (), "not with error correction on", BY_READING),
    NvmlError(23, "INSUFFICIENT_RESOURCES", (), "the driver ran out of what it needs besides memory", BY_RESET),
    NvmlError(24, "FREQ_NOT_SUPPORTED", (), "no such frequency", BY_READING),
    NvmlError(25, "ARGUMENT_VERSION_MISMATCH", (), "this driver knows another version of the question", BY_UPDATE),
    NvmlError(26, "DEPRECATED", (), "this driver no longer answers that", BY_READING),
    NvmlError(27, "NOT_READY", (), "the driver still starts", BY_WAITING),
    NvmlError(28, "GPU_NOT_FOUND", ("No devices were found",), "the driver found no GPU", BY_BUS),
    NvmlError(29, "INVALID_STATE", (), "the GPU is in a state in which it cannot tell", BY_RESET),
    NvmlError(30, "RESET_TYPE_NOT_SUPPORTED", (), "this GPU cannot be reset so", ("Restart the machine: sudo reboot",)),
    NvmlError(
        999,
        "UNKNOWN",
        ("Unknown Error",),
        "the driver failed without saying why: often a GPU that fell off the bus, or bad memory",
        (*RESTART, *BY_RESET[:3]),
    ),
)
BY_CODE = {error.code: error for error in TABLE}
WORDS = tuple((words, error) for error in TABLE for words in (f"NVML_ERROR_{error.name}", *error.words))


def find(code: int | None) -> NvmlError:
    """An error by its code, also one that is in no table.

    >>> find(31).meaning
    'an error that no table of dgxcert names'
    """
    unknown = NvmlError(code or 0, "", (), "an error that no table of dgxcert names", (*RESTART, *BY_RESET[:3]))
    return BY_CODE.get(code, unknown) if code is not None else unknown


def named_in(text: str) -> NvmlError | None:
    """The error that nvidia-smi, the Container Toolkit or a library names, None for a message of something else.

    >>> named_in("Unable to determine the device handle for GPU0000:07:00.0: GPU is lost.").code
    15
    >>> named_in("nvidia-container-cli: initialization error: nvml error: driver not loaded").code
    9
    >>> named_in("Failed to initialize NVML: Unknown Error").code
    999
    >>> named_in("unknown error") is None
    True
    """
    about = re.search(r"nvml|nvidia|GPU ?[0-9a-f]{4,}:", text, re.IGNORECASE)
    if about is None:
        return None
    return next((error for words, error in WORDS if words.lower() in text.lower()), None)
