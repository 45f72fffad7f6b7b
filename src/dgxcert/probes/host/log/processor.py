"""Lines about processors and about the kernel itself: machine checks, lockups, crashes.

kernel/watchdog.c, kernel/workqueue.c, kernel/rcu/tree_stall.h, kernel/panic.c, kernel/cpu.c, arch/*/mm/fault.c,
arch/x86/kernel/{nmi.c,cpu/mce/core.c}, arch/arm64/kernel/traps.c of Linux 4.15 to 6.17.
"""

import re

from dgxcert.probes.host.log.pattern import Pattern, fault, note, suspicious
from dgxcert.probes.host.xid import Kind

HUNG_CPU = "a CPU hung in the kernel"

PATTERNS = (
    fault(r"GHES: Fatal hardware error", "machine check", "fatal", "hardware"),
    fault(r"Kernel panic - not syncing", "kernel panic", "the kernel stopped", "hang"),
    fault(r"(?:NMI )?watchdog: BUG: soft lockup", "soft lockup", HUNG_CPU, "hang"),
    fault(r"(?:NMI )?watchdog: .*hard LOCKUP", "hard lockup", HUNG_CPU, "hang"),
    fault(r"(?:rcu: )?INFO: rcu\w* (self-|)detected (\w+ )?stalls? on", "RCU stall", HUNG_CPU, "hang"),
    suspicious(r"BUG: workqueue lockup", "workqueue lockup", "work of the kernel waited for a long time"),
    Pattern(
        re.compile(
            r"Internal error: |Unable to handle kernel |Oops: |general protection fault|invalid opcode: |double fault: "
            r"|kernel BUG at |BUG: (?:unable to handle |kernel NULL pointer|Bad page |Bad rss-counter |KFENCE|KASAN"
            r"|scheduling while atomic|stack guard page)|(?:list_add|list_del) corruption"
            r"|stack-protector: "
        ),
        Kind.UNKNOWN,
        "kernel crash",
        "",
        "",
    ),
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
    fault(r"mce: \[Hardware Error\]: .*(?:Fatal|Processor context corrupt)", "machine check", "fatal", "hardware"),
    note(r"(?:mce: )?\[Hardware Error\]: Corrected error, no action", "machine check", "a corrected error"),
    # Found in memory or a cache and not used yet: whoever reads it next meets it.
    suspicious(r"(?:mce: )?\[Hardware Error\]: Deferred error", "machine check", "an uncorrected error, not yet used"),
    note(
        r"mce: \[Hardware Error\]: CPU \d+: Machine Check: \S+ Bank \d+: \w{16}\b",
        "machine check",
        "a corrected error",
    ),
    suspicious(r"mce: \[Hardware Error\]: Machine check events logged", "machine check", "of an unknown severity"),
    fault(
        r"SError Interrupt on CPU|.*synchronous external abort", "SError", "a CPU met an uncorrected error", "hardware"
    ),
    fault(
        r"(?:smp: )?CPU\d+[: ].*(?:failed to (?:come online|boot|report alive|start)|is stuck in kernel)",
        "CPU offline",
        "a CPU did not start",
        "hardware",
    ),
    suspicious(
        r"(?:Uhhuh\. )?NMI(?:: | )(?:received for unknown reason|PCI system error|IOCK error)",
        "NMI",
        "hardware interrupted for a reason that is not known",
    ),
    note(r"(?:mce: )?CPU\d+: .*temperature(?:/speed)? above threshold", "CPU throttled", "too warm for a moment"),
)
