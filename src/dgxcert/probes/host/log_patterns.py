"""Lines of the kernel log and what each means: the table that `kernel_log` searches, top down, the first match counts.

Xids are in `xid`, and reports of several lines (hung tasks, the firmware's error records) in `kernel_log`. A line that
is in no table is of no interest, unless it is the NVIDIA driver's and says that something failed.
"""

import re
from dataclasses import dataclass

from dgxcert.probes.host.xid import Kind

PCI = r"[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}"


@dataclass(frozen=True)
class Pattern:
    """The beginning of a line, what it is called and what it means; `remedy` is a row of `xid.REMEDIES`."""

    regex: re.Pattern[str]
    kind: Kind
    name: str
    """May refer to a group of the pattern: `SXid \\1`."""
    meaning: str
    remedy: str


def fault(regex: str, name: str, meaning: str, remedy: str) -> Pattern:
    """A fault of the machine, which fails."""
    return Pattern(re.compile(regex), Kind.FAULT, name, meaning, remedy)


def suspicious(regex: str, name: str, meaning: str) -> Pattern:
    """A fault, or the consequence of something harmless: the line does not say, so that the log is inconclusive."""
    return Pattern(re.compile(regex), Kind.SUSPICIOUS, name, meaning, "")


def note(regex: str, name: str, meaning: str) -> Pattern:
    """No fault; only recorded."""
    return Pattern(re.compile(regex), Kind.NOTE, name, meaning, "")


LOST = "the GPU is missing from PCIe"
DARK = "the GPU could not be initialised"
CLOSED = "this GPU needs the open one"
MUTE = "its firmware does not answer"
HUNG_CPU = "a CPU hung in the kernel"
DAMAGED = "an uncorrected memory error"
UNREADABLE = "the drive lost data"
READ_ONLY = "the kernel no longer trusts the file system"
DRIVE_GONE = "the drive no longer answers"

DRIVER = (
    fault(r"NVRM:.*RmInitAdapter failed!", "RmInitAdapter failed", DARK, "restart"),
    fault(r"NVRM:.*rm_init_adapter failed", "rm_init_adapter failed", DARK, "restart"),
    fault(
        r"NVRM:.*(?:off the bus|NV_ERR_GPU_IS_LOST|GPU (?:is |has been )?lost\b|GPU_ATTACHED_SANITY_CHECK failed)",
        "fallen off the bus",
        LOST,
        "restart",
    ),
    fault(r"NVRM:.*SEC2 secure boot partition timed out", "SEC2 timeout", MUTE, "update"),
    fault(
        r"NVRM:(?=.*(?:\b(?:FSP|SEC2)\b|k(?:fsp|sec2)\w))(?=.*(?i:tim(?:e|ed|es)?[ -]?out))",
        "secure boot timeout",
        MUTE,
        "update",
    ),
    fault(r"NVRM:.*requires use of the NVIDIA open kernel", "closed kernel module", CLOSED, "module"),
    fault(
        r"NVRM:.*(?:rpcRecvPoll failed|(?=.*\b(?:GSP|RPC|GSP-RM)\b)(?=.*(?i:tim(?:e|ed|es)?[ -]?out|\bnot respond)))",
        "GSP not responding",
        MUTE,
        "restart",
    ),
    fault(
        r"NVRM:.*\bGSP\b.*(?:\bcrash|exception|halted|panic|unrecoverable|fail(?:ed|ure)? to boot)",
        "GSP crashed",
        MUTE,
        "restart",
    ),
    fault(r"NVRM:.*RC watchdog: GPU is (?:probably|possibly) locked", "RC watchdog", "the GPU does no work", "restart"),
    fault(
        r"NVRM:.*(?:NV_ERR_RESET_REQUIRED|(?i:reset (?:is )?required|requires? (?:a )?reset))",
        "reset required",
        "the GPU asks for a reset",
        "reset",
    ),
    fault(r"(?:NVRM|nvidia-uvm):.*(?i:global fatal error)", "fatal error", "the driver asks for a restart", "restart"),
    suspicious(
        r"NVRM:.*(?i:bad register read|regvalue: 0xbad)", "bad register read", "a part of the GPU is unreachable"
    ),
    suspicious(r"NVRM:.*probe routine (?:failed|was not called)", "probe routine", "the driver left a GPU out"),
    suspicious(r"NVRM:.*None of the NVIDIA (?:graphics )?(?:adapters|devices) were initialized", "no GPU", DARK),
    suspicious(r"NVRM:.*BAR\d? is 0M", "BAR", "the BIOS gave a GPU no address range"),
    suspicious(
        r"nvidia-modeset: ERROR: .*(?:waiting for GPU progress|timed out)", "nvidia-modeset", "the GPU did not answer"
    ),
    suspicious(
        rf"(?:nvidia|nvme|mlx5_core) {PCI}\S+ (?i:(?:can't|unable to) change power state)",
        "power state",
        "a device did not wake up",
    ),
    fault(r"nvidia-nvswitch\d+: SXid \(\S+\): (\d+), Fatal", r"SXid \1", "a fatal error of an NVSwitch", "link"),
    note(r"nvidia-nvswitch\d+: SXid \(\S+\): (\d+), Non-fatal", r"SXid \1", "an error of an NVSwitch"),
)
"""Lines of NVIDIA's modules. Texts are those of the open kernel modules, branches 570 to 590 (kernel_gsp.c,
kern_fsp_gh100.c, kernel_rc_watchdog.c, thread_state.c, gpu_access.c, nv-pci.c)."""

HARMLESS = (
    "NV_ERR_NO_MEMORY",  # a refused allocation: `kernel_log.NO_MEMORY`
    r"\(non-fatal\)",
    r"NV_ERR_NOT_SUPPORTED|status=0x0*56\b",  # this GPU lacks what a program asked for
    "Failed to handle Power Source change event",
)
"""Parts of lines of the driver that say `failed` on healthy machines as well."""

FAILED = (
    r"fail|\blost\b|\blosing\b|\btim(?:e|ed|es|ing)?[ -]?out|\breset|\bhung\b|\bhangs?\b|\blocked\b|\bstuck\b"
    r"|\bfatal\b|corrupt|unrecover|not respond|\bhalted|\bcrash|\bpoison"
)
REST = (
    suspicious(
        rf"NVRM:(?!.*(?:{'|'.join(HARMLESS)})).*(?i:{FAILED})", "line of the driver", "it says that something failed"
    ),
)
"""Lines of the driver that are in no row above."""

KERNEL = (
    fault(r"(?:NMI )?watchdog: BUG: soft lockup", "soft lockup", HUNG_CPU, "hang"),
    fault(r"(?:NMI )?watchdog: .*hard LOCKUP", "hard lockup", HUNG_CPU, "hang"),
    fault(r"(?:rcu: )?INFO: rcu\w* (self-|)detected (\w+ )?stalls? on", "RCU stall", HUNG_CPU, "hang"),
    Pattern(
        re.compile(
            r"Internal error: |Unable to handle kernel |Oops: |general protection fault|invalid opcode: |double fault: "
            r"|kernel BUG at |BUG: (?:unable to handle |kernel NULL pointer|Bad page |Bad rss-counter |KFENCE|KASAN)"
        ),
        Kind.UNKNOWN,
        "kernel crash",
        "",
        "",
    ),
    note(r"(?:Memory cgroup out|Out) of memory: Killed", "out of memory", "the kernel killed a program"),
)
"""kernel/watchdog.c, kernel/rcu/tree_stall.h, arch/*/mm/fault.c, mm/oom_kill.c of Linux 4.15 to 6.17."""

MEMORY = (
    fault(r"Memory failure: 0x", "memory failure", "a page of memory is damaged", "hardware"),
    fault(r"(?:MCE|mce): Killing .* due to hardware memory corruption", "memory failure", DAMAGED, "hardware"),
    fault(r"mce: Uncorrected hardware memory error", "machine check", DAMAGED, "hardware"),
    fault(
        r"(?:mce: )?\[Hardware Error\]: (?:System Fatal|Uncorrected)\b",
        "machine check",
        "an uncorrected error",
        "hardware",
    ),
    # Bit 61 of MCi_STATUS (Intel SDM, volume 3B, 17.3.2.2): uncorrected.
    fault(
        r"mce: \[Hardware Error\]: CPU \d+: Machine Check(?: Exception)?: \S+ Bank \d+: [2367abefABEF]\w{15}\b",
        "machine check",
        "an uncorrected error",
        "hardware",
    ),
    note(
        r"(?:mce: )?\[Hardware Error\]: (?:Corrected|Deferred) error, no action", "machine check", "a corrected error"
    ),
    note(
        r"mce: \[Hardware Error\]: CPU \d+: Machine Check: \S+ Bank \d+: \w{16}\b",
        "machine check",
        "a corrected error",
    ),
    suspicious(r"mce: \[Hardware Error\]: Machine check events logged", "machine check", "of an unknown severity"),
    fault(
        r"SError Interrupt on CPU|.*synchronous external abort", "SError", "a CPU met an uncorrected error", "hardware"
    ),
    fault(r"EDAC [\w ]+: (?:\d+ )?UE\b", "EDAC UE", DAMAGED, "hardware"),
    note(r"EDAC [\w ]+: (?:\d+ )?CE\b", "EDAC CE", "a corrected memory error"),
)
"""mm/memory-failure.c, arch/x86/kernel/cpu/mce/core.c, drivers/edac/{edac_mc,edac_device,mce_amd}.c,
arch/arm64/kernel/traps.c."""

AER = r"(?:AER: (?:Multiple )?|(?:PCIe|CXL) Bus Error: severity=)"
BUS = rf"(?:\S+ )?{PCI}\S+ "

PCIE = (
    fault(rf"{BUS}{AER}Uncorrect(?:ed|able) \(Fatal\)", "PCIe error", "fatal", "bus"),
    fault(rf"{BUS}DPC: containment event.*ERR_FATAL", "PCIe error", "fatal, contained", "bus"),
    suspicious(rf"{BUS}{AER}Uncorrect(?:ed|able) \(Non-Fatal\)", "PCIe error", "uncorrected, not fatal"),
    suspicious(rf"{BUS}DPC: (?:containment event|.*uncorrectable error)", "PCIe error", "uncorrected, contained"),
    suspicious(rf"{BUS}AER: (?:can't recover|device recovery failed)", "PCIe error", "its driver did not recover"),
    note(rf"{BUS}{AER}Correct(?:ed|able)", "PCIe error", "corrected"),
    suspicious(rf"mlx5_core {PCI}\S+ .*(?:health compromised|fatal error)", "network adapter", "its firmware failed"),
    suspicious(
        r"(?:arm-smmu\S* \S+ event 0x|DMAR: \[DMA (?:Read|Write)|.*AMD-Vi: Event logged \[\w*PAGE_FAULT)",
        "IOMMU fault",
        "a device used memory that is not its own",
    ),
)
"""drivers/pci/pcie/aer.c, dpc.c and err.c of Linux 4.15 to 6.17. A non-fatal error lost one transfer. Its driver may
have repeated it, or computed with what did not arrive: the log does not say."""

STORAGE = (
    note(r"(?:blk_update_request: )?(?:I/O|critical \w+) error, dev (?:fd|sr|loop)\d", "I/O error", "no fixed drive"),
    fault(r"(?:blk_update_request: )?critical medium error, dev (\S+?),", r"medium error of \1", UNREADABLE, "storage"),
    fault(r"nvme\d+(?:c\d+)?n\d+: .*\(sct 0x2 / sc 0x8[0-4]\)", "medium error of an NVMe drive", UNREADABLE, "storage"),
    fault(r"sd \S+ \[(\w+)\] .*Sense Key : (?:Medium|Hardware) Error", r"medium error of \1", UNREADABLE, "storage"),
    fault(r"ata\d+(?:\.\d+)?: error: \{ .*UNC", "medium error of a SATA drive", UNREADABLE, "storage"),
    fault(r"nvme (nvme\d+): controller is down", r"\1 is down", DRIVE_GONE, "storage"),
    fault(
        r"nvme (nvme\d+): (?:Device not ready|Removing after probe failure|Disabling device after reset failure)",
        r"\1 is down",
        DRIVE_GONE,
        "storage",
    ),
    fault(r"md/\S+: Disk failure on (\w+)", r"failure of \1", "the drive was taken out of its array", "storage"),
    fault(r"(?:EXT4-fs|XFS|F2FS-fs|JBD2|BTRFS).*(?i:read-?only|forced readonly)", "read-only", READ_ONLY, "storage"),
    fault(
        r"(?:EXT4-fs|F2FS-fs) error|EXT[234]-fs \S+ (?:error|.*I/O error)", "file system error", READ_ONLY, "storage"
    ),
    fault(r"JBD2: (?:Error|I/O error|Detected IO errors)|Aborting journal on device", "journal", READ_ONLY, "storage"),
    fault(
        r"XFS \(\S+\): .*(?i:corruption|has been shut down|shutting down filesystem|log I/O error)",
        "file system error",
        READ_ONLY,
        "storage",
    ),
    fault(r"BTRFS(?::)? (?:error|critical)", "file system error", READ_ONLY, "storage"),
    suspicious(
        r"(?:blk_update_request: )?(?:I/O|critical \w+|protection) error, dev (\S+?),",
        r"I/O error of \1",
        "lost or repeated",
    ),
    suspicious(r"Buffer I/O error on dev(?:ice)? (\w+)", r"I/O error of \1", "lost or repeated"),
    suspicious(r"nvme (nvme\d+): I/O (?:tag )?\d+.* timeout", r"timeout of \1", "a command was repeated"),
    suspicious(r"nvme\d+(?:c\d+)?n\d+: .*I/O Error \(sct", "error of an NVMe drive", "lost or repeated"),
    suspicious(r"ata\d+(?:\.\d+)?: (?:exception Emask|failed command)", "error of a SATA drive", "lost or repeated"),
    suspicious(
        r"SQUASHFS error|FAT-fs \(\w+\): error", "file system error", "of a medium that the system does not use"
    ),
)
"""block/blk-core.c, drivers/nvme/host/{core,pci}.c, drivers/ata, drivers/md, fs/{ext4,jbd2,xfs,btrfs} of Linux 4.15 to
6.17."""

PATTERNS = (
    *DRIVER,
    *REST,
    *KERNEL,
    *MEMORY,
    *PCIE,
    *STORAGE,
)
