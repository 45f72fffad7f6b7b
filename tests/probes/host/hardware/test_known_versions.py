"""Known versions: every entry of the table is complete and fits what it names, and healthy machines have no fault."""

import pytest
from remedies import commands

from dgxcert.probes.host.hardware import known_versions
from dgxcert.probes.host.hardware.known_versions import FACTS, fits, judged, table

SPARK = {
    "product": "NVIDIA GB10",
    "vendor": "NVIDIA",
    "dgx": "7.6.0",
    "kernel": "7.0.0-1019-nvidia",
    "cmdline": "ro quiet kho=off",
    "driver": "580.178.04",
    "toolkit": "1.20.1",
    "ec": "0x03000508",
}


def test_every_entry_is_complete() -> None:
    for entry in table():
        assert set(entry["where"]) <= set(FACTS), entry["id"]
        assert entry["severity"] in {"fault", "note"}, entry["id"]
        assert entry["sources"], entry["id"]
        assert bool(entry.get("remedy")) == (entry["severity"] == "fault"), entry["id"]
    assert len({entry["id"] for entry in table()}) == len(table())


@pytest.mark.parametrize("step", [step for entry in table() for step in entry.get("remedy", ())])
def test_its_remedies_can_be_typed(step: str) -> None:
    assert not commands.faults_of(step, advises=True)


def test_kernel_7_without_kho_off_is_a_fault_on_a_spark_alone() -> None:
    assert judged(SPARK).said("fault") == "nothing"
    bad = judged({**SPARK, "cmdline": "ro quiet"})
    assert "9.3 GiB" in bad.said("fault")
    assert any("nvidia-spark-grub-kho" in step for step in bad.remedy)
    assert judged({**SPARK, "cmdline": "ro quiet", "product": "NVIDIA GB300"}).said("fault") == "nothing"
    for kernel in ("6.17.0-1032-nvidia", "7.0.0-1020-nvidia", "7.0.0-14-generic"):
        assert judged({**SPARK, "cmdline": "ro quiet", "kernel": kernel}).said("fault") == "nothing"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"driver": "580.159.03"}, "serving engines"),
        ({"driver": "580.142"}, "freezes"),
        ({"driver": "580.173.02", "kernel": "6.17.0-1029-nvidia"}, "deepest sleep"),
        ({"kernel": "6.17.0-1032-nvidia"}, "ConnectX-7"),
        ({"vendor": "ASUSTeK COMPUTER INC."}, "fans too slowly"),
        ({"toolkit": "1.19.1"}, "containers"),
    ],
)
def test_what_healthy_machines_have_as_well_is_a_note(changed: dict[str, str], says: str) -> None:
    known = judged({**SPARK, **changed})
    assert says in known.said("note")
    assert known.said("fault") == "nothing"
    assert says not in judged(SPARK).said("note")


@pytest.mark.parametrize(
    ("cmdline", "fits_it"),
    [("ro kho=0", False), ("ro kho=N", False), ("kho=on kho=off", False), ("kho=off kho=on", True), ("kho", True)],
)
def test_a_switch_of_the_kernel_is_off_however_it_is_spelt(cmdline: str, fits_it: bool) -> None:
    assert fits({"cmdline": "lacks kho=off"}, {"cmdline": cmdline}) is fits_it


def test_an_unknown_fact_fits_nothing() -> None:
    assert not fits({"cmdline": "lacks kho=off"}, {})
    assert not fits({"driver": "<580.159.03"}, {"driver": ""})
    assert judged({}).entries == ()
    assert known_versions.judged({}).versions == ""
