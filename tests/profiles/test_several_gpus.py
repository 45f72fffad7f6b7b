"""Profiles of machines with several GPUs: which machine gets which, and that no sick one gets through."""

import pytest

from dgxcert.machine.identity import Gpu, Machine, is_display_adapter
from dgxcert.outcome import CannotStart
from dgxcert.profiles import certifying, matching
from dgxcert.profiles import profile as profiles

PUBLISHED = {
    "dgx-a100-40": ("NVIDIA A100-SXM4-40GB", "8.0", 40960),
    "dgx-a100-80": ("NVIDIA A100-SXM4-80GB", "8.0", 81920),
    "dgx-h100": ("NVIDIA H100 80GB HBM3", "9.0", 81559),
    "dgx-h200": ("NVIDIA H200", "9.0", 143771),
    "dgx-b200": ("NVIDIA B200", "10.0", 183359),
    "dgx-b300": ("NVIDIA B300 SXM6 AC", "10.3", 275040),
    "gb200": ("NVIDIA GB200", "10.0", 189471),
    "dgx-station-a100-40": ("NVIDIA A100-SXM4-40GB", "8.0", 40960),
    "dgx-station-a100-80": ("NVIDIA A100-SXM4-80GB", "8.0", 81920),
    "dgx-station-gb300": ("NVIDIA GB300", "10.3", 256703),
    "h100": ("NVIDIA H100 80GB HBM3", "9.0", 81559),
    "h200": ("NVIDIA H200", "9.0", 143771),
    "l40s": ("NVIDIA L40S", "8.9", 46068),
    "rtx-pro-6000-server": ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "12.0", 97887),
    "rtx-pro-6000-workstation": ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "12.0", 97887),
}
"""What NVML says of a GPU of each machine: product, compute capability, memory in MiB."""
RINGS = {"dgx-a100-40": 231.6, "dgx-a100-80": 231.6, "dgx-h100": 367.6, "dgx-h200": 367.6} | {
    "dgx-b200": 682,
    "dgx-b300": 682,
    "gb200": 680,
    "dgx-station-a100-40": 231.6,
    "dgx-station-a100-80": 231.6,
}
"""Bus bandwidth of a ring in GB/s, with all links: the least that healthy machines reach by any algorithm."""
PCIE = 40
"""GB/s at most of collectives whose GPUs do not find each other's NVLinks."""
CARD = ("NVIDIA RTX PRO 4000 Blackwell", "12.0", 24467)

Listed = tuple[str, str, int]


def machine(system: str | None, *listed: Listed) -> Machine:
    """A machine whose driver lists these, of which adapters for a monitor are no GPUs."""
    products = [product for product, _, _ in listed]
    each = [
        Gpu(index=index, product=product, uuid=f"GPU-{index}", compute_capability=capability, memory_gib=mib / 1024)
        for index, (product, capability, mib) in enumerate(listed)
    ]
    adapters = tuple(gpu for gpu in each if is_display_adapter(gpu.product, products))
    gpus = tuple(gpu for gpu in each if gpu not in adapters)
    found = Machine(hostname="h", kernel="6", architecture="x86_64", cores=1, product=system, gpus=gpus)
    return found.model_copy(update={"display_adapters": adapters})


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_machine_as_published_has_its_profile_also_where_it_lost_a_gpu(name: str) -> None:
    profile = profiles.load(name)
    system = next(iter(matching.shipped()[name].systems), "a maker's own name")
    listed = [PUBLISHED[name]] * profile.gpu.expected
    assert matching.choose(machine(system, *listed)).name == name
    for lost in range(1, len(listed)):
        fewer = machine(system, *listed[lost:])
        assert matching.choose(fewer).name == name
        assert profile.gpus_in(fewer) == profile.gpu.expected, "it is judged as what it was sold as"
    size = profile.limit("device.memory")
    assert size.min is not None
    assert size.max is not None
    assert size.min <= PUBLISHED[name][2] / 1024 <= size.max


def test_every_profile_of_a_gpu_with_its_own_memory_is_in_the_table() -> None:
    assert set(PUBLISHED) == set(matching.shipped()) - {"dgx-spark"}


@pytest.mark.parametrize("name", RINGS)
def test_no_collective_passes_over_pcie_or_over_half_of_the_links(name: str) -> None:
    profile = profiles.load(name)
    speeds = {
        limit.name: limit.min or 0
        for limit in profile.limits.values()
        if limit.name.startswith("collectives.") and limit.unit == "GB/s"
    }
    assert len(speeds) >= 12
    # four links join each pair of a DGX Station A100: half of them carry 50 GB/s on paper
    half = {"collectives.sendrecv.p2p": 50.0} if "station" in name else {}
    weak = {each: least for each, least in speeds.items() if least <= max(PCIE, half.get(each, RINGS[name] / 2))}
    assert weak == {}
    strict = {each: least for each, least in speeds.items() if least > RINGS[name] and not each.endswith("reduce.nvls")}
    assert strict == {}, "no healthy machine is known to reach more"


@pytest.mark.parametrize("name", RINGS)
def test_what_pairs_reach_of_each_other_has_no_published_figure(name: str) -> None:
    assert "limits.collectives.slowest: what is assumed certifies nothing" in certifying.suppositions(
        profiles.quantities(name)["limits"]
    )


@pytest.mark.parametrize("card_first", [True, False])
def test_a_card_that_drives_the_monitor_of_a_station_is_not_counted(card_first: bool) -> None:
    gb300 = PUBLISHED["dgx-station-gb300"]
    found = machine("a maker's own name", *([CARD, gb300] if card_first else [gb300, CARD]))
    profile = matching.choose(found)
    assert profile.name == "dgx-station-gb300"
    assert profile.gpus_in(found) == 1
    assert [adapter.product for adapter in found.display_adapters] == [CARD[0]]
    assert matching.choose(machine(None, CARD)).name == "generic-nvidia"


@pytest.mark.parametrize(
    "product",
    [
        "NVIDIA H100 PCIe",
        "NVIDIA H100 NVL",
        "NVIDIA H200 NVL",
        "NVIDIA A100-PCIE-40GB",
        "NVIDIA A100 80GB PCIe",
        "NVIDIA GH200 480GB",
        "NVIDIA H20",
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA RTX 5000 Ada Generation Laptop GPU",
    ],
)
@pytest.mark.parametrize("system", [None, "PowerEdge R760xa"])
def test_a_relative_of_a_known_gpu_is_not_judged_as_it(product: str, system: str | None) -> None:
    assert matching.choose(machine(system, *[(product, "9.0", 81559)] * 2)).name == "generic-nvidia"


@pytest.mark.parametrize("system", ["Standard PC (Q35 + ICH9, 2009)", "Google Compute Engine", "Virtual Machine"])
@pytest.mark.parametrize(("name", "count"), [("h100", 2), ("h100", 8), ("h200", 8)])
def test_gpus_that_a_host_passes_through_are_cards(system: str, name: str, count: int) -> None:
    assert matching.choose(machine(system, *[PUBLISHED[name]] * count)).name == name


def test_eight_gpus_of_which_one_is_lost_and_whose_machine_has_no_name_are_nobodys() -> None:
    with pytest.raises(CannotStart, match="h100 and dgx-h100"):
        matching.choose(machine(None, *[PUBLISHED["h100"]] * 7))
    for system in ("DGXH100", "DGXA100", "DGX Station A100", None):
        assert matching.choose(machine(system)).name == "generic-nvidia", "GPU-PRESENT fails there"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dgx-a100", ["dgx-a100-40", "dgx-a100-80"]),
        ("DGXA100", ["dgx-a100-40", "dgx-a100-80"]),
        ("dgx-station-a100", ["dgx-station-a100-40", "dgx-station-a100-80"]),
        ("b200", ["dgx-b200"]),
        ("gb300", ["dgx-station-gb300"]),
        ("rtx-pro-6000", ["rtx-pro-6000-server", "rtx-pro-6000-workstation"]),
        ("DGX H200", ["dgx-h200"]),
    ],
)
def test_a_name_that_is_a_part_of_others_names_them(typed: str, meant: list[str]) -> None:
    with pytest.raises(CannotStart) as raised:
        profiles.load(typed)
    assert [name for name in profiles.names() if f"'{name}'" in raised.value.remedy[0]] == meant
