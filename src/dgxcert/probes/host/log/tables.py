"""All tables of lines, in the order in which they are searched: the first row that fits counts."""

from dgxcert.probes.host.log import driver, memory, pcie, power, processor, storage
from dgxcert.probes.host.log.pattern import Pattern, Subject

PATTERNS: tuple[tuple[Subject, Pattern], ...] = (
    *((Subject.PCIE, row) for row in pcie.PATTERNS),
    *((Subject.GPU, row) for row in driver.PATTERNS),
    *((Subject.MEMORY, row) for row in memory.PATTERNS),
    *((Subject.CPU, row) for row in processor.PATTERNS),
    *((Subject.STORAGE, row) for row in storage.PATTERNS),
    *((Subject.POWER, row) for row in power.PATTERNS),
)
