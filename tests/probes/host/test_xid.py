"""An Xid has the meaning that NVIDIA's catalogue gives it; a number that no table holds is unknown, never harmless."""

from collections import Counter

import pytest

from dgxcert.probes.host import xid
from dgxcert.probes.host.log.tables import PATTERNS
from dgxcert.probes.host.xid import Kind


@pytest.mark.parametrize(
    ("number", "text", "kind", "row"),
    [
        (154, "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)", Kind.FAULT, "reset"),
        (154, "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)", Kind.FAULT, "restart"),
        (154, "GPU recovery action changed from 0x0 (None) to 0x2 (OS Reboot)", Kind.FAULT, "restart"),
        (154, "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)", Kind.NOTE, ""),
        (154, "something new", Kind.FAULT, "reset"),
        (144, "SAW_MVB Nonfatal XC0 i0 Link 00 (0x00000001)", Kind.NOTE, ""),
        (150, "MSE Non-fatal XC0 i0 Link 00 (0x00000001)", Kind.NOTE, ""),
        (147, "TREX Fatal XC0 i0 Link 00 (0x00000001)", Kind.FAULT, "link"),
        (148, "NVLPW_CTRL XC0 i0 Link 00 (0x00000001)", Kind.UNKNOWN, ""),
        (64, "Row Remapper Error: (0x12bac1c3e0) - All reserved rows for bank are remapped", Kind.FAULT, "replace"),
        (74, "NVLink: fatal error detected on link 14(0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)", Kind.FAULT, "link"),
        (95, "pid=5171, Uncontained: FBHUB. RST: Yes, D-RST: No", Kind.FAULT, "reset"),
        (109, "pid=2050644, name=x, channel 0x0000000a, errorString CTX SWITCH TIMEOUT", Kind.FAULT, "program"),
        (140, "An uncorrectable ECC error detected DRAM:0, LTC:0, MMU:0, PCIE:0", Kind.FAULT, "reset"),
        (121, "corrected", Kind.NOTE, ""),
        (173, "", Kind.FAULT, "restart"),
        (154, "GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)", Kind.FAULT, "link"),
        (154, "GPU recovery action changed from 0x0 (None) to 0x5 (Recover IMEX Domain)", Kind.FAULT, "imex"),
        (999, "", Kind.UNKNOWN, ""),
    ],
)
def test_an_xid_means_what_nvidias_catalogue_and_its_text_state(number: int, text: str, kind: Kind, row: str) -> None:
    actual_kind, _, actual_row = xid.meaning(number, text)
    assert (actual_kind, actual_row) == (kind, row)


def test_no_xid_is_in_two_tables_and_every_fault_has_a_remedy() -> None:
    numbers = Counter([*xid.FAULTS, *xid.APPLICATIONS, *xid.NOTES, *xid.NVLINK5, 154])
    assert [number for number, times in numbers.items() if times > 1] == []
    rows = {row for row, _ in xid.FAULTS.values()} | {row.remedy for _, row in PATTERNS if row.remedy}
    assert rows | {"hang", "link", "hardware", "bus", "imex", "supply"} == set(xid.REMEDIES)
