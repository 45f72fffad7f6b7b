"""A machine is judged as what it was sold as; where that cannot be told, no profile is chosen."""

from pathlib import Path

import pytest

from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import CannotStart
from dgxcert.profiles import matching
from dgxcert.profiles import profile as profiles

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


@pytest.mark.parametrize(
    ("gpus", "system", "name"),
    [
        ([GB10], "NVIDIA_DGX_Spark", "dgx-spark"),
        ([GB10], None, "dgx-spark"),
        ([GB10], "ASUS Ascent GX10", "dgx-spark"),
        ([H200], None, "h200"),
        ([H200], "Google Compute Engine", "h200"),
        ([H200] * 8, "SYS-821GE-TNHR", "h200"),
        ([H200_NVL], None, "generic-nvidia"),
        ([A10G], None, "generic-nvidia"),
        ([("NVIDIA GB10", "12.0", None)], None, "generic-nvidia"),
        ([GB10, H200], None, "generic-nvidia"),
        ([], None, "generic-nvidia"),
    ],
)
def test_the_machine_chooses_its_profile_and_never_a_rehearsal(gpus: list[Listed], system: str, name: str) -> None:
    chosen = matching.choose(machine(*gpus, system=system))
    assert chosen.name == name
    assert chosen.uses_gpu


def own(name: str, match: str) -> profiles.Profile:
    """A profile for 8 GPUs that is chosen by what `match` says."""
    text = f"extends: h200\ncertifies: false\ngpu: {{count: 8}}\nmatch: {{{match}}}\n"
    return profiles.parse(text, Path(f"{name}.yaml"))


CARD = own("card", 'product: NVIDIA H200, compute_capability: "9.0"')
DGX = own("dgx", 'product: NVIDIA H200, compute_capability: "9.0", systems: [DGX H200]')
SMALL = own("small", 'product: NVIDIA GB300, compute_capability: "10.3", memory_gib: [245, 260]')
LARGE = own("large", 'product: NVIDIA GB300, compute_capability: "10.3", memory_gib: [270, 285]')
BOTH = [
    own(f"dgx-{size}", f'product: A100 {size}, compute_capability: "8.0", systems: [DGX A100]') for size in (40, 80)
]
GB300 = {gib: ("NVIDIA GB300", "10.3", gib) for gib in (250.7, 277.5, 300.0, None)}


@pytest.mark.parametrize(
    "system", ["DGXH200", "DGX H200", "NVIDIA DGX H200", "NVIDIA_DGX_H200", "dgx-h200", "DGXH200 920-24387-2540-000"]
)
@pytest.mark.parametrize("gpus", [[H200] * 8, [H200] * 7, [H200], [H200] * 7 + [H200_NVL], [A10G] * 8, []])
def test_a_machine_that_its_firmware_names_is_judged_as_that(system: str, gpus: list[Listed]) -> None:
    """One with seven GPUs, or with another among them, is a faulty one and no smaller machine."""
    assert matching.choose(machine(*gpus, system=system), [CARD, DGX]) is DGX


@pytest.mark.parametrize("system", ["SYS-821GE-TNHR", "DGX H2000", "DGX Station H200", "DGX", "HGX H200", "Virtual"])
def test_the_same_gpus_in_another_machine_are_cards(system: str) -> None:
    assert matching.choose(machine(*[H200] * 8, system=system), [CARD, DGX]) is CARD
    assert matching.choose(machine(*[H200] * 8, system=system), [DGX]).name == "generic-nvidia"


@pytest.mark.parametrize("system", [None, "", "Default string", "To Be Filled By O.E.M.", "System Product Name"])
def test_a_machine_without_a_name_is_ambiguous(system: str | None) -> None:
    with pytest.raises(CannotStart, match=r"which of the profiles card and dgx fits 8 GPUs \(NVIDIA H200\)") as raised:
        matching.choose(machine(*[H200] * 8, system=system), [DGX, CARD])
    assert "--profile card" in raised.value.remedy[0]
    with pytest.raises(CannotStart, match="profiles dgx and generic-nvidia fits 2 GPUs"):
        matching.choose(machine(*[H200] * 2, system=system), [DGX])
    assert matching.choose(machine(H200, system=system), [CARD, DGX]) is CARD, "one is a card in some machine"
    assert matching.choose(machine(H200, A10G, system=system), [CARD, DGX]).name == "generic-nvidia"


@pytest.mark.parametrize(("gib", "name"), [(250.7, "small"), (277.5, "large"), (300.0, "generic-nvidia")])
def test_two_products_of_one_name_are_told_by_their_memory(gib: float, name: str) -> None:
    assert matching.choose(machine(GB300[gib], system="X"), [SMALL, LARGE]).name == name
    assert matching.choose(machine(GB300[gib], GB300[None]), [SMALL, LARGE]).name == name


def test_memory_that_cannot_be_read_tells_nothing() -> None:
    with pytest.raises(CannotStart, match="profiles small, large and generic-nvidia fits 1 GPU"):
        matching.choose(machine(GB300[None]), [SMALL, LARGE])
    with pytest.raises(CannotStart, match="profiles small and generic-nvidia fits 1 GPU"):
        matching.choose(machine(GB300[None]), [SMALL])
    assert matching.choose(machine(GB300[250.7], GB300[277.5]), [SMALL, LARGE]).name == "generic-nvidia"


def test_a_divided_gpu_is_still_what_it_is() -> None:
    assert matching.choose(machine(*[H200] * 7, H200_MIG, system="DGXH200"), [CARD, DGX]) is DGX
    assert matching.choose(machine(*[H200] * 7, H200_MIG, system="X"), [CARD, DGX]) is CARD


def test_machines_of_one_name_are_told_by_most_of_their_gpus() -> None:
    small, large = ("A100 40", "8.0", 39.5), ("A100 80", "8.0", 79.2)
    assert matching.choose(machine(*[large] * 8, system="DGXA100"), BOTH).name == "dgx-80"
    assert matching.choose(machine(*[small] * 7, large, system="DGXA100"), BOTH).name == "dgx-40"
    with pytest.raises(CannotStart, match="profiles dgx-40 and dgx-80 fits DGXA100: its firmware calls it 'DGXA100'"):
        matching.choose(machine(*[small] * 4, *[large] * 4, system="DGXA100"), BOTH)
    assert matching.choose(machine(system="DGXA100"), BOTH).name == "generic-nvidia", "GPU-PRESENT fails there"


def test_two_profiles_that_both_match_are_named() -> None:
    twin = own("twin", 'product: NVIDIA H200, compute_capability: "9.0"')
    with pytest.raises(CannotStart, match="profiles card and twin fits NVIDIA H200"):
        matching.choose(machine(H200), [CARD, twin])


def test_a_profile_without_a_match_is_chosen_by_name_only() -> None:
    cpu = profiles.load("cpu")
    assert matching.choose(machine(H200), [cpu]).name == "generic-nvidia"
    with pytest.raises(ValueError, match="profile cpu matches nothing"):
        matching._match(cpu)
