"""Links are told by state, speed and siblings as the driver reports them; what it does not report is no link."""

from typing import Any

import pytest
from suites import example

from dgxcert.judgement.limit import Limit
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.links import nvlinks
from dgxcert.probes.links.nvlinks import Link, NvLinks


def machine(gpus: int, product: str = "NVIDIA H100 80GB HBM3", **about: Any) -> Machine:
    cards = (Gpu(index=i, product=product, uuid=f"GPU-{i}", compute_capability="9.0") for i in range(gpus))
    return example.MACHINE.model_copy(update={"gpus": tuple(cards), **about})


def link(number: int, *, up: bool = True, gbs: float = 26.562, remote: str | None = "SWITCH") -> dict[str, Any]:
    """One link as the process of the driver tells it."""
    state = "ACTIVE" if up else "INACTIVE"
    pci = "00000000:07:00.0" if remote == "SWITCH" else None
    return {"link": number, "state": state, "gbs": gbs if up else None, "remote": remote, "remote_pci": pci}


def read(
    monkeypatch: pytest.MonkeyPatch, *answers: list[dict[str, Any]] | int, mig: tuple[int, ...] = (), **about: Any
) -> NvLinks:
    """What is read where the GPUs answer so, or refuse with NVML's code."""

    def ask(index: int, *fields: str) -> Answers:
        assert fields == ("nvlinks", "mig")
        answer, modes = answers[index], {"mig": [index in mig, index in mig]}
        if isinstance(answer, int):
            return Answers(index, modes, {"nvlinks": {"code": answer, "says": f"error {answer}"}})
        return Answers(index, {"nvlinks": answer} | modes)

    monkeypatch.setattr(nvml, "ask", ask)
    return nvlinks.read(machine(len(answers), **about))


def test_a_healthy_board_has_all_links_up_and_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, *[[link(number) for number in range(18)]] * 8)
    assert (found.fewest, found.behind, found.slow, found.slowest) == (18, {}, (), 26.562)
    assert found.describe(18) == "NVML: 18 links up on each of 8 GPUs"


def test_a_link_that_is_down_is_named_with_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, [link(0), link(1)], [link(0), link(1, up=False)])
    assert (found.fewest, found.behind) == (1, {1: 1})
    assert found.describe() == "NVML: 1 to 2 links up: GPU 1 link 1 inactive, to an NVSwitch at 00000000:07:00.0"


def test_links_that_are_down_on_all_gpus_are_named_where_more_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, *[[link(0), link(1, up=False, remote=None)]] * 2)
    assert found.behind == {}
    assert found.describe() == "NVML: 1 link up on each of 2 GPUs"
    assert found.describe(2) == "NVML: 1 link up on each of 2 GPUs: GPU 0 link 1 inactive; GPU 1 link 1 inactive"
    many = read(monkeypatch, *[[link(number, up=False, remote=None) for number in range(4)]] * 2)
    assert many.describe().endswith("GPU 1 link 1 inactive and 2 more")


def test_bridges_join_two_cards_and_leave_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = [link(0, remote="GPU"), link(1, remote="GPU")]
    alone = [link(0, up=False, remote=None), link(1, up=False, remote=None)]
    assert read(monkeypatch, joined, joined, alone).behind == {}
    assert read(monkeypatch, joined, joined[:1], alone).behind == {1: 1}
    switched = [link(0), link(1)]
    assert read(monkeypatch, switched, switched, alone).behind == {2: 2}, "a switch reaches every GPU"


def test_only_gpus_of_one_model_are_compared() -> None:
    found = NvLinks({0: (Link(0, 0, gbs=25.0),), 1: (Link(1, 0, gbs=50.0), Link(1, 1, gbs=50.0))}, {0: "A", 1: "B"})
    assert (found.behind, found.slow, found.slowest, found.fewest) == ({}, (), 25.0, 1)


def test_a_slow_link_is_named_beside_its_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, [link(0), link(1, gbs=26.4)], [link(0, gbs=13.281)])
    assert [each.name for each in found.slow] == ["GPU 1 link 0"], "half a percent is rounding"
    assert found.slowest == 13.281
    assert found.slow_source == "NVML, each way: GPU 1 link 0 at 13.281 GB/s"


@pytest.mark.parametrize("code", [2, 3, 13])
def test_a_gpu_or_driver_without_nvlink_has_none_and_says_why(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    found = read(monkeypatch, code, code)
    assert (found.fewest, found.behind, found.slowest) == (0, {}, None)
    assert found.describe() == f"NVML: no NVLink (GPU 0: error {code}; GPU 1: error {code})"


def test_a_refusal_for_another_reason_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    for code in (4, 15, 999):
        with pytest.raises(Inconclusive, match=f"nvlinks of GPU 1: error {code}"):
            read(monkeypatch, [link(0)], code)


def test_gpus_that_mig_divides_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, [link(0)], [link(0, up=False)], [link(0)], mig=(1,))
    assert (found.fewest, found.behind) == (1, {})
    assert found.describe(1) == "NVML: 1 link up on each of 2 GPUs; divided by MIG and left out: GPU 1"
    with pytest.raises(Inconclusive, match="divided by MIG"):
        read(monkeypatch, [link(0)], [link(0)], mig=(0, 1))


def wanted(count: float) -> Limit:
    return Limit(name="links.count", min=count, unit="link", source="this test")


def test_links_that_may_still_be_trained_are_inconclusive_only_where_they_are_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half = [link(0), link(1, up=False)]
    read(monkeypatch, half, uptime_s=10.0).require_known(wanted(1))
    read(monkeypatch, half, uptime_s=nvlinks.TRAINED_S).require_known(wanted(2))
    read(monkeypatch, half, uptime_s=None).require_known(wanted(2))
    with pytest.raises(Inconclusive, match="10 s after the start"):
        read(monkeypatch, half, uptime_s=10.0).require_known(wanted(2))


def test_no_gpu_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="lists no GPU"):
        nvlinks.read(machine(0))
