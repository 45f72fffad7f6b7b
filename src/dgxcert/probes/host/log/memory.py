"""Lines about memory, and about damaged pages of it.

mm/memory-failure.c, mm/memtest.c, arch/x86/kernel/cpu/mce/core.c, drivers/edac/{edac_mc,edac_device,mce_amd}.c.
"""

from dgxcert.probes.host.log.pattern import fault, note, suspicious

DAMAGED = "an uncorrected memory error"

PATTERNS = (
    note(r"(?:Memory failure: 0x\S+ )?(?i:soft[ _-]offlin)", "memory", "a page with corrected errors was replaced"),
    note(r"Memory failure: 0x\S+ already hardware poisoned", "memory failure", "reported before"),
    fault(r"Memory failure: 0x", "memory failure", "a page of memory is damaged", "hardware"),
    fault(r"(?:MCE|mce): Killing .* due to hardware memory corruption", "memory failure", DAMAGED, "hardware"),
    fault(r"mce: Uncorrected hardware memory error", "memory failure", DAMAGED, "hardware"),
    fault(r"[0-9a-f]{8,16} bad mem addr", "memory test", "the kernel's own test found bad memory", "hardware"),
    fault(r"EDAC [\w ]+: (?:\d+ )?UE\b", "EDAC UE", DAMAGED, "hardware"),
    fault(r"EDAC [\w ]+: .*(?i:uncorrect(?:ed|able)|fatal)", "EDAC UE", DAMAGED, "hardware"),
    note(r"EDAC [\w ]+: (?:\d+ )?CE\b", "EDAC CE", "a corrected memory error"),
    suspicious(
        r"mce: CMCI storm (?:detected|interrupt)", "corrected errors", "so many that the kernel stopped counting each"
    ),
    note(r"(?:Memory cgroup out|Out) of memory: Killed", "out of memory", "the kernel killed a program"),
)
