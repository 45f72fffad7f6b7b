"""Lines of NVIDIA's kernel modules, whatever the function's name before them: what is fatal, suspicious or harmless.

The texts are those of NVIDIA/open-gpu-kernel-modules, branches 535 to 595; the file is named where it is one. A row
gives the words of the message, never the function's name, which carries the GPU's generation (`_GH100`, `_GM107`).
What no row knows is kept and shown, and is suspicious where it speaks of failing.
"""

import re

from dgxcert.probes.host.log.pattern import PCI, fault, note, quiet, suspicious

LOST = "the GPU is missing from PCIe"
DARK = "the GPU could not be initialised"
CLOSED = "this GPU needs the open one"
MUTE = "its firmware does not answer"
CRASHED = "its firmware crashed"
UNBOOTED = "its firmware did not start"
ASKS = "the GPU asks for a reset"

NVRM = r"NVRM:? "
"""Branch 515 printed `NVRM nvAssertFailedNoLog:`, without a colon."""
LINE = re.compile(
    rf"{NVRM}|NVRM_\w+:|nvidia-[\w-]+(?::| |\[)|nvidia(?:_\w+)?: |nvidia {PCI}\S+ |nvlink: |nv_peer_mem"
    r"|\[drm[^\]]*(?:\[\w+\])?\].*(?:nvidia-drm|NVIDIA)|\[nvidia-drm\]"
)
"""A line of nvidia, nvidia-uvm, nvidia-modeset, nvidia-drm, nvidia-peermem, nvidia-nvlink or nvidia-nvswitch, or of the
kernel about a GPU."""

_TIMEOUT = r"(?i:tim(?:e|ed|es|ing)?[ -]?out)"
_STATUS = r"(?i:\b(?:status|paramsStatus)\s*[=:]?\s*0x0*"
"""The code of a status, as numbers of src/common/sdk/nvidia/inc/nvstatuscodes.h."""

HARMLESS = (
    quiet(rf"{NVRM}(?!.*NV_ERR_(?!NO_MEMORY)).*NV_ERR_NO_MEMORY"),  # a refused allocation: `kernel_log.NO_MEMORY`
    quiet(rf"{NVRM}.*\(non-fatal\)"),
    quiet(
        rf"{NVRM}.*(?:\[?NV_ERR_NOT_SUPPORTED|(?i:(?:is |call )?not supported))"
    ),  # this GPU lacks what was asked for
    # What a program asked for in vain: 0x56 is not supported, 0x57 not found, 0x1b not permitted, 0x1f, 0x22 and 0x3b
    # invalid, 0x51 out of memory.
    quiet(rf"{NVRM}.*\bGspRm(?:Control|Alloc|Free|DupObject) failed: .*{_STATUS}(?:56|57|1b|1f|22|3b|51)\b)"),
    quiet(rf"{NVRM}.*Failed to handle (?:Power Source change|ACPI (?:D-Notifier|GPS status change)) event"),
    quiet(
        rf"{NVRM}.*(?:API mismatch: the client|Persistence mode is deprecated|loading NVIDIA |Unrecognized AMD proc)"
    ),
    quiet(rf"{NVRM}.*Chipset Setup Function Error"),  # a mainboard that the driver does not know: chipset.c
    quiet(rf"{NVRM}.*(?:FBHUB Interrupt detected\. Clearing it|GPU at PCI:|nvlogAllocBuffer)"),
    quiet(rf"{NVRM}.*(?:failed to acquire|Could not acquire) UnbindLock"),
    quiet(rf"{NVRM}.*Unable to (?:read|get) (?:nvidia,|disp_sw_soc|i2c adapter)"),  # a Tegra display's device tree
    quiet(r"nvidia(?:_\w+)?: .*(?:taint|module license|module verification failed|disabling lock debugging)"),
    quiet(r"nvidia-modeset: (?:WARNING|Loading|Unloading)"),
    quiet(r"nvidia-modeset: ERROR: .*(?i:EDID|not licensed|display device|DisplayPort|HDMI|audio|DPCD|link training)"),
    quiet(r"nvidia-gpu .*i2c timeout error"),  # the USB-C port of a desktop's card: drivers/i2c/busses/i2c-nvidia-gpu.c
    quiet(rf"nvidia {PCI}\S+ (?:enabling device|vgaarb: |BAR \d|Adding to iommu|PM: |runtime IRQ)"),
    quiet(rf"nvidia {PCI}\S+ (?:AER: |PCIe Bus Error|DPC: |CXL|AMD-Vi|  *(?:device \[|\[))"),  # table of PCIe
    quiet(
        r".*\[drm\] (?:Cannot find any crtc|fb\d|Initialized nvidia-drm|\[nvidia-drm\] \[GPU ID \w+\] (?:Unl|L)oading)"
    ),
    quiet(r"nvidia-uvm: (?:Loaded|Unloaded|Debug|HMM)"),
    quiet(r"nvidia-peermem .*detected invalid context, skipping further processing"),  # at the end of each program
    quiet(r"nvidia-(?:nvlink|caps|nvswitch\d+): (?:Nvlink Core|open|using|Unregistered|\(open|\(release)"),
    quiet(r"nvidia-nvswitch\d+: SXid \(\S+\): \d+, (?:Severity|Data)"),
)
"""Lines that say `failed` on healthy machines too, and those of a driver that starts."""

FATAL = (
    fault(rf"{NVRM}.*requires use of the NVIDIA open kernel", "closed kernel module", CLOSED, "module"),
    fault(
        rf"{NVRM}.*(?:power cables connected|GPU lacks? (?:auxiliary )?power)", "no power", "a cable is loose", "power"
    ),
    fault(rf"{NVRM}.*RmInitAdapter failed!", "RmInitAdapter failed", DARK, "restart"),
    fault(rf"{NVRM}.*rm_init_adapter failed", "rm_init_adapter failed", DARK, "restart"),
    # Not where an assertion only names the code that it would have allowed: (status == NV_ERR_GPU_IS_LOST).
    fault(
        rf"{NVRM}.*(?i:off the bus|(?<![=!]= )NV_ERR_GPU_IS_LOST|GPU (?:is |has been |was )?lost\b|lost from the bus"
        r"|GPU_ATTACHED_SANITY_CHECK failed|Check whether GPU is present on the bus)",
        "fallen off the bus",
        LOST,
        "restart",
    ),
    fault(rf"{NVRM}.*SEC2 secure boot partition timed out", "SEC2 timeout", MUTE, "update"),
    fault(
        rf"{NVRM}(?=.*(?:\b(?:FSP|SEC2|FWSEC)\b|k(?:fsp|sec2)\w|[sS]ecure ?[bB]oot))(?=.*{_TIMEOUT})",
        "secure boot timeout",
        MUTE,
        "update",
    ),
    fault(
        rf"{NVRM}.*(?:RM cannot boot|(?i:fuse (?:error )?check (?:has )?fail)|secure boot GSP prechecks failed"
        r"|Fatal GSP-FMC Error|GSP-FMC reported an error|failed to wait for GFW boot)",
        "secure boot failed",
        UNBOOTED,
        "update",
    ),
    fault(
        rf"{NVRM}.*(?:rpcRecvPoll failed|rpcSendMessage failed|GspMsgQueueSendCommand failed"
        r"|sanity check failed \S+ waiting for RPC"
        rf"|_issueRpc\w*: .*fail|(?=.*(?i:gsp|rpc|libos))(?=.*(?:{_TIMEOUT}|\bnot respond|(?i:unresponsive)))"
        rf"|Heartbeat timed out|GSP Timeout|GSP-RM is slow)",
        "GSP not responding",
        MUTE,
        "restart",
    ),
    fault(rf"{NVRM}.*Rpc\w* ?(?:failed|error).*{_STATUS}(?:f|62|65)\b)", "GSP not responding", MUTE, "restart"),
    fault(rf"{NVRM}.*\bGspRm\w+ failed: .*{_STATUS}(?:f|62|65)\b)", "GSP not responding", MUTE, "restart"),
    fault(
        rf"{NVRM}.*\bGSP(?:-RM|-RISCV\S*)?\b.*(?:\b[cC]rash(?!.*(?:buffer|logging))|exception|halted|panic|unrecoverable"
        r"|unknown fatal|entered into ICD)",
        "GSP crashed",
        CRASHED,
        "restart",
    ),
    fault(rf"{NVRM}.*(?:GSP-CrashCat Report|FALCON_IRQSTAT_FATAL_ERROR)", "GSP crashed", CRASHED, "restart"),
    fault(
        rf"{NVRM}.*(?:(?:fail(?:ed|ure)? to (?:re)?boot GSP|GSP(?:-RM)? (?:boot|proxy boot|unload) \w*\s*failed)"
        r"|GSP.*fail(?:ed|ure)? to boot|Booter failed|boot attempts exceeded|Cannot initialize GSP"
        r"|Failed to boot GSP|cannot proceed with booting GSP)",
        "GSP boot failed",
        UNBOOTED,
        "restart",
    ),
    fault(rf"{NVRM}.*UNCORRECTED_ERR_\w+", "uncorrected error in the firmware's memory", CRASHED, "reset"),
    # "possibly locked" comes before it, also where the GPU is only busy: kernel_rc_watchdog_callback.c
    fault(rf"{NVRM}.*RC watchdog: GPU is probably locked", "RC watchdog", "the GPU does no work", "restart"),
    suspicious(rf"{NVRM}.*RC watchdog: ", "RC watchdog", "the GPU was slow to answer"),
    fault(
        rf"{NVRM}.*(?:(?<![=!]= )NV_ERR_RESET_REQUIRED|(?i:reset (?:is )?required|requires? (?:a )?(?:gpu )?reset"
        r"|marked (?:for|as needing) reset|marking \w+ for reset|need(?:s)? (?:to be|a) reset))",
        "reset required",
        ASKS,
        "reset",
    ),
    fault(
        r"(?:NVRM:?|nvidia-uvm:) .*(?i:global fatal error)", "fatal error", "the driver asks for a restart", "restart"
    ),
    fault(
        rf"{NVRM}.*(?:FAILED TO TRAIN|uncontained NVLINK error|Triggering Degraded Mode)",
        "NVLink",
        "links did not come up",
        "link",
    ),
    fault(r"nvidia-nvswitch\d+: SXid \(\S+\): (\d+), (?i:fatal)", r"SXid \1", "a fatal error of an NVSwitch", "link"),
    note(r"nvidia-nvswitch\d+: SXid \(\S+\): (\d+), (?i:non-?fatal)", r"SXid \1", "an error of an NVSwitch"),
)
"""kernel_gsp.c, kernel_gsp_tu102.c, kern_fsp_gh100.c, kernel_rc_watchdog.c, thread_state.c, gpu.c, kernel_nvlink.c,
nv-pci.c and common_nvswitch.h."""

DOUBTFUL = (
    suspicious(r"nvidia-nvswitch\d+: SXid \(\S+\): (\d+)", r"SXid \1", "an error of an NVSwitch, of unknown severity"),
    suspicious(
        rf"{NVRM}.*(?i:bad register read|\b(?:regvalue|value|returned|read)\b\W*0xbad[0-9a-f]{{5}}\b)",
        "bad register read",
        "a part of the GPU is unreachable",
    ),
    suspicious(
        rf"{NVRM}.*(?i:nv\w*(?:Assert|Check)\w*Failed|assertion failed|check failed)",
        "assertion",
        "the driver met a state that it excludes",
    ),
    suspicious(rf"{NVRM}.*probe routine (?:failed|was not called)", "probe routine", "the driver left a GPU out"),
    suspicious(
        rf"{NVRM}.*(?:None of the NVIDIA (?:graphics )?(?:adapters|devices) were initialized|No NVIDIA GPU found)",
        "no GPU",
        DARK,
    ),
    suspicious(
        rf"{NVRM}.*(?:BAR\d? is 0M|This PCI I/O region .* is invalid)", "BAR", "the BIOS gave a GPU no address range"
    ),
    suspicious(
        r"nvidia-modeset: ERROR: .*(?:waiting for GPU progress|timed out|fail|[Uu]nable)",
        "nvidia-modeset",
        "the GPU did not answer",
    ),
    suspicious(r"(?:\[drm\S*(?: \[\w+\])?\].*)?nvidia-drm\b.*(?i:timeout|timed out)", "nvidia-drm", "a frame was late"),
)
"""What a sleeping display, a GPU in a power-saving state or a busy one causes as well: a computation decides."""

FAILED = (
    r"fail|\blost\b|\blosing\b|\btim(?:e|ed|es|ing)?[ -]?out|\breset|\bhung\b|\bhangs?\b|\bhanging\b|\blocked\b"
    r"|\block-?up|\bstuck\b|\bfatal\b|corrupt|unrecover|uncorrect|not respond|unrespons|\bno response|\bhalt|\bcrash"
    r"|\bpoison|\bunable\b|\bcannot\b|\bcan'?t\b|\bcould not\b|\bcouldn'?t\b|\brefus|\breject|\babort|\bdead\b"
    r"|\bpanic|\bbad state|\binvalid state|\bgave up|\bgiving up|\bunreachable|\bdegraded|\berrors?\b|\bdropped\b"
    r"|\bmissing\b|\bexceeded|\bunexpected|\bmismatch|\bstopp|\bgone\b|\bwedged|\bfrozen|\bfreez|\bdisappear|\bexception|\bviolation"
    r"|\bin fault state\b|\bfaulted\b"
)
"""Words of a line that speaks of failing, also misspelt (`Timout`)."""
REST = (suspicious(rf"(?:{LINE.pattern})(?i:.*(?:{FAILED}))", "line of the driver", "it says that something failed"),)
"""Lines of the driver that are in no row above."""

PATTERNS = (*FATAL[:3], *HARMLESS[:2], *FATAL[3:], *HARMLESS[2:], *DOUBTFUL, *REST)
"""A fault is searched before what is harmless, so that no harmless word hides it."""
