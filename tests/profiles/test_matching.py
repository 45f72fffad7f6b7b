"""A machine is judged as what it was sold as; where that cannot be told, no profile is chosen."""

import pytest

from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import CannotStart
from dgxcert.profiles import matching
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Match

GB10 = ("NVIDIA GB10", "12.1", None)
H200 = ("NVIDIA H200", "9.0", 140.4)
H200_MIG = ("NVIDIA H200", "9.0", None)
"""As a GPU of which a part of the memory is divided, which only an administrator may read."""
H200_NVL = ("NVIDIA H200 NVL", "9.0", 140.4)
A10G = ("NVIDIA A10G", "8.6", 22.5)

Listed = tuple[str, str, float | None]


def machine(*gpus: Listed, system: str | None = None) -> Machine:
    """A machine whose driver lists these GPUs and whose firmware calls it `system`."""
    listed = tuple(
        Gpu(index=index, product=product, uuid=f"GPU-{index}", compute_capability=capability, memory_gib=memory)
        for index, (product, capability, memory) in enumerate(gpus)
    )
    return Machine(hostname="h", kernel="6", architecture="x86_64", cores=1, product=system, gpus=listed)


CARD = Match(product="NVIDIA H200", compute_capability="9.0")
DGX = CARD.model_copy(update={"systems": ("DGX H200",)})
H200S = {"card": CARD, "dgx": DGX}
GB300S = {
    "small": Match(product="NVIDIA GB300", compute_capability="10.3", memory_gib=(245, 260)),
    "large": Match(product="NVIDIA GB300", compute_capability="10.3", memory_gib=(270, 285)),
}
A100S = {size: Match(product=f"A100 {size}", compute_capability="8.0", systems=("DGX A100",)) for size in ("40", "80")}
STATION = A100S["40"].model_copy(update={"systems": ("DGX Station A100",), "display_adapter": "DGX Display"})
GB300 = {gib: ("NVIDIA GB300", "10.3", gib) for gib in (250.7, 277.5, 300.0, None)}


@pytest.mark.parametrize(
    "system", ["DGXH200", "DGX H200", "NVIDIA DGX H200", "NVIDIA_DGX_H200", "dgx-h200", "DGXH200 920-24387-2540-000"]
)
@pytest.mark.parametrize("gpus", [[H200] * 8, [H200] * 7, [H200], [H200] * 7 + [H200_NVL], [A10G] * 8, []])
def test_a_machine_that_its_firmware_names_is_judged_as_that(system: str, gpus: list[Listed]) -> None:
    """One with seven GPUs, or with another among them, is a faulty one and no smaller machine."""
    assert matching.chosen(machine(*gpus, system=system), H200S) == "dgx"


@pytest.mark.parametrize("system", ["SYS-821GE-TNHR", "DGX H2000", "DGX Station H200", "DGX", "HGX H200", "Virtual"])
def test_the_same_gpus_in_another_machine_are_cards(system: str) -> None:
    assert matching.chosen(machine(*[H200] * 8, system=system), H200S) == "card"
    assert matching.chosen(machine(*[H200] * 8, system=system), {"dgx": DGX}) == "generic-nvidia"


@pytest.mark.parametrize("system", [None, "", "Default string", "To Be Filled By O.E.M.", "System Product Name"])
def test_a_machine_without_a_name_is_ambiguous(system: str | None) -> None:
    with pytest.raises(CannotStart, match=r"which of the profiles card and dgx fits 8 GPUs \(NVIDIA H200\)") as raised:
        matching.chosen(machine(*[H200] * 8, system=system), H200S)
    assert "--profile card" in raised.value.remedy[0]
    with pytest.raises(CannotStart, match="profiles dgx and generic-nvidia fits 2 GPUs"):
        matching.chosen(machine(*[H200] * 2, system=system), {"dgx": DGX})
    assert matching.chosen(machine(H200, system=system), H200S) == "card", "one is a card in some machine"
    assert matching.chosen(machine(H200, A10G, system=system), H200S) == "generic-nvidia"


@pytest.mark.parametrize(("gib", "name"), [(250.7, "small"), (277.5, "large"), (300.0, "generic-nvidia")])
def test_two_products_of_one_name_are_told_by_their_memory(gib: float, name: str) -> None:
    assert matching.chosen(machine(GB300[gib], system="X"), GB300S) == name
    assert matching.chosen(machine(GB300[gib], GB300[None]), GB300S) == name


def test_memory_that_cannot_be_read_tells_nothing() -> None:
    with pytest.raises(CannotStart, match="profiles small, large and generic-nvidia fits 1 GPU"):
        matching.chosen(machine(GB300[None]), GB300S)
    with pytest.raises(CannotStart, match="profiles small and generic-nvidia fits 1 GPU"):
        matching.chosen(machine(GB300[None]), {"small": GB300S["small"]})
    assert matching.chosen(machine(GB300[250.7], GB300[277.5]), GB300S) == "generic-nvidia"


def test_a_divided_gpu_is_still_what_it_is() -> None:
    assert matching.chosen(machine(*[H200] * 7, H200_MIG, system="DGXH200"), H200S) == "dgx"
    assert matching.chosen(machine(*[H200] * 7, H200_MIG, system="X"), H200S) == "card"


def test_machines_of_one_name_are_told_by_most_of_their_gpus() -> None:
    small, large = ("A100 40", "8.0", 39.5), ("A100 80", "8.0", 79.2)
    assert matching.chosen(machine(*[large] * 8, system="DGXA100"), A100S) == "80"
    assert matching.chosen(machine(*[small] * 7, large, system="DGXA100"), A100S) == "40"
    with pytest.raises(CannotStart, match="profiles 40 and 80 fits DGXA100: its firmware calls it 'DGXA100'"):
        matching.chosen(machine(*[small] * 4, *[large] * 4, system="DGXA100"), A100S)
    assert matching.chosen(machine(system="DGXA100"), A100S) == "generic-nvidia", "GPU-PRESENT fails there"


def test_two_profiles_that_both_match_are_named() -> None:
    with pytest.raises(CannotStart, match="profiles card and twin fits NVIDIA H200"):
        matching.chosen(machine(H200), {"card": CARD, "twin": CARD})


def test_an_adapter_for_its_monitor_tells_a_machine() -> None:
    small = ("A100 40", "8.0", 39.5)
    beside = Gpu(index=4, product="DGX Display", uuid="GPU-4", compute_capability="7.5")
    known = A100S | {"station": STATION}
    for system in (None, "Default string", "DGX Station A100 920-23487-2530-000", "another name"):
        found = machine(*[small] * 3, system=system).model_copy(update={"display_adapters": (beside,)})
        assert matching.chosen(found, known) == "station"
    other = machine(H200, system="X").model_copy(update={"display_adapters": (beside,)})
    assert matching.chosen(other, known | H200S) == "card"
    assert matching.chosen(machine(*[small] * 4, system="DGX Station A100"), known) == "station"
    assert matching.chosen(machine(*[small] * 4, system="SYS"), known) == "generic-nvidia"


def listed(name: str, count: int | None = None) -> list[Listed]:
    """The GPUs that a shipped profile is for, as many as it expects or `count`."""
    profile, match = profiles.load(name), matching.shipped()[name]
    memory = profile.limits["device.memory"]
    gib = None if profile.gpu.memory == "unified" else ((memory.min or 0) + (memory.max or 0)) / 2
    return [(match.product, match.compute_capability, gib)] * (profile.gpu.expected if count is None else count)


@pytest.mark.parametrize("name", matching.shipped())
def test_every_shipped_profile_is_chosen_for_the_machine_that_it_is_for(name: str) -> None:
    systems = matching.shipped()[name].systems or ("a maker's own name", None)
    for system in systems[:1] if matching.shipped()[name].systems else systems:
        assert matching.choose(machine(*listed(name), system=system)).name == name


@pytest.mark.parametrize("name", [name for name, match in matching.shipped().items() if match.systems])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_machine_that_lost_gpus_is_judged_as_what_it_was_sold_as(name: str, lost: int) -> None:
    expected = profiles.load(name).gpu.expected
    system = matching.shipped()[name].systems[0]
    assert matching.choose(machine(*listed(name, expected - lost), system=system)).name == name


@pytest.mark.parametrize("name", [name for name, match in matching.shipped().items() if match.systems])
def test_the_gpus_of_a_dgx_without_a_name_are_ambiguous_and_elsewhere_no_dgx(name: str) -> None:
    with pytest.raises(CannotStart, match=rf"\b{name}\b"):
        matching.choose(machine(*listed(name)))
    elsewhere = matching.choose(machine(*listed(name), system="PowerEdge XE9680"))
    assert not elsewhere.certifies
    assert elsewhere.name in {"generic-nvidia", "h100", "h200"}


def test_two_gb300_bear_one_name() -> None:
    station, tray = ("NVIDIA GB300", "10.3", 250.7), ("NVIDIA GB300", "10.3", 277.5)
    assert matching.choose(machine(station, system="Dell Pro Max with Station GB300")).name == "dgx-station-gb300"
    assert matching.choose(machine(*[tray] * 4, system="GB300 NVL")).name == "generic-nvidia"


def test_a_dgx_h200_may_bear_the_name_of_the_chassis_that_it_shares() -> None:
    assert matching.choose(machine(*[H200] * 8, system="DGXH100")).name == "dgx-h200"
    assert matching.choose(machine(*listed("h100", 8), system="DGXH100")).name == "dgx-h100"


@pytest.mark.parametrize(
    ("gpus", "system", "name"),
    [
        ([GB10], "ASUS Ascent GX10", "dgx-spark"),
        ([H200], "Google Compute Engine", "h200"),
        ([H200_NVL], None, "generic-nvidia"),
        ([A10G], None, "generic-nvidia"),
        ([("NVIDIA GB10", "12.0", None)], None, "generic-nvidia"),
        ([GB10, H200], None, "generic-nvidia"),
        ([], None, "generic-nvidia"),
        ([], "DGXH200", "dgx-h200"),
    ],
)
def test_the_machine_chooses_its_profile_and_never_a_rehearsal(gpus: list[Listed], system: str, name: str) -> None:
    chosen = matching.choose(machine(*gpus, system=system))
    assert chosen.name == name
    assert chosen.uses_gpu
