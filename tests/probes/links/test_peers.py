"""Pairs of GPUs are apart where either may not read or write the other; what is not said is not known."""

from typing import Any

import pytest
from suites import example

from dgxcert.judgement.limit import Limit
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.links import peers
from dgxcert.probes.links.peers import Peers

REACHED = {"read": "OK", "write": "OK", "nvlink": "OK"}
BY_HOST = {"read": "CHIPSET_NOT_SUPPORTED", "write": "CHIPSET_NOT_SUPPORTED", "nvlink": "NOT_SUPPORTED"}


def read(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | int, mig: tuple[int, ...] = ()) -> Peers:
    """What is read where the GPUs answer so, or refuse with NVML's code."""
    cards = (
        Gpu(index=i, product="NVIDIA L40S", uuid=f"GPU-{i}", compute_capability="8.9") for i in range(len(answers))
    )

    def ask(index: int, *fields: str) -> Answers:
        assert fields == ("peers", "mig")
        answer, modes = answers[index], {"mig": [index in mig, index in mig]}
        if isinstance(answer, int):
            return Answers(index, modes, {"peers": {"code": answer, "says": "No"}})
        return Answers(index, {"peers": answer} | modes)

    monkeypatch.setattr(nvml, "ask", ask)
    return peers.read(example.MACHINE.model_copy(update={"gpus": tuple(cards)}))


def test_every_pair_is_told_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, {"1": REACHED, "2": REACHED}, {"0": REACHED, "2": BY_HOST}, {"0": REACHED, "1": REACHED})
    assert len(found.pairs) == 6
    assert found.apart == {(1, 2): "read: chipset not supported, write: chipset not supported"}
    assert found.apart_on_nvlink == found.apart, "the other direction says that NVLink joins them"
    assert "3 pairs, not GPU 1 and GPU 2 (read: chipset" in found.source


def test_pairs_that_copy_through_the_host_are_apart_and_not_on_nvlink(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, {"1": BY_HOST}, {"0": BY_HOST})
    assert (list(found.apart), found.apart_on_nvlink) == ([(0, 1)], {})


def limit(pairs: float) -> Limit:
    return Limit(name="links.pairs", max=pairs, unit="pair", source="this test")


@pytest.mark.parametrize("answer", [3, 13, {}, {"1": {"code": 15, "says": "No"}, "0": {"code": 15, "says": "No"}}])
def test_a_pair_that_is_not_told_is_not_known(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | int) -> None:
    found = read(monkeypatch, answer, {"0": REACHED})
    assert (list(found.unknown), list(found.pairs)) == ([(0, 1)], [(1, 0)])
    found.require_known(limit(1))
    with pytest.raises(Inconclusive, match="does not say whether GPU 0 and GPU 1 may reach"):
        found.require_known(limit(0))


def test_a_pair_of_which_the_driver_knows_nothing_is_not_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = REACHED | {"read": "UNKNOWN", "write": "UNKNOWN"}
    found = read(monkeypatch, {"1": unknown}, {"0": REACHED})
    assert (found.apart, found.apart_on_nvlink, found.unknown) == ({}, {}, {(0, 1): "unknown"})
    with pytest.raises(Inconclusive, match="does not say whether GPU 0 and GPU 1 may reach"):
        found.require_known(limit(0))
    half = read(monkeypatch, {"1": unknown | {"write": "GPU_NOT_SUPPORTED"}}, {"0": REACHED})
    assert half.apart == {(0, 1): "read: unknown, write: gpu not supported"}


def test_a_refusal_for_another_reason_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Inconclusive, match="peers of GPU 0: No"):
        read(monkeypatch, 16, {"0": REACHED})


def test_gpus_that_mig_divides_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {str(index): REACHED for index in range(3)}
    found = read(monkeypatch, said, said, {"0": BY_HOST, "1": BY_HOST}, mig=(2,))
    assert (list(found.pairs), found.apart) == ([(0, 1), (1, 0)], {})
    assert found.source.endswith("GPU 2 is divided by MIG and left out")
    with pytest.raises(Inconclusive, match="MIG divides"):
        read(monkeypatch, said, said, mig=(1,))


def test_one_gpu_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Inconclusive, match="fewer than two"):
        read(monkeypatch, {})
