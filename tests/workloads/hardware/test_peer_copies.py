"""Copies between devices are compared word by word: one that is lost, changed or of another sender is named."""

from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.hardware import peer_copies
from dgxcert.workloads.hardware.peer_copies import PeerCopies

RANKS = tuple(Device("cpu", index, "CPU") for index in range(3))


def test_every_ordered_pair_is_copied_and_compared() -> None:
    copied = peer_copies.between(RANKS, size_mib=1)
    names = ("rank 0", "rank 1", "rank 2")
    assert copied.differing == {(first, second): 0 for first in names for second in names if first != second}
    assert (copied.wrong, copied.apart, copied.words) == (0, (), 2**18)


def lost(copies: PeerCopies) -> None:
    """The copies of rank 1 go nowhere."""
    sent = copies._step

    def step(number: int) -> None:
        receiver = copies._targets[(1 + number) % 3]
        before = receiver.clone()
        sent(number)
        receiver.copy_(before)

    copies._step = step  # type: ignore[method-assign]  # only this one loses them


def changed(copies: PeerCopies) -> None:
    """One bit of what rank 1 sends is another."""
    copies._sources[1][77] ^= 1


def another(copies: PeerCopies) -> None:
    """Rank 1 sends what rank 0 sends."""
    copies._sources[1].copy_(copies._sources[0])


@pytest.mark.parametrize(("fault", "least"), [(lost, 2**17), (changed, 2), (another, 2**17)])
def test_the_sender_of_a_wrong_copy_is_named(monkeypatch: pytest.MonkeyPatch, fault: Any, least: int) -> None:
    made = PeerCopies.__init__

    def faulty(copies: PeerCopies, *arguments: Any) -> None:
        made(copies, *arguments)
        fault(copies)

    monkeypatch.setattr(PeerCopies, "__init__", faulty)
    copied = peer_copies.between(RANKS, size_mib=1)
    assert copied.wrong >= least
    assert {sender for (sender, _), count in copied.differing.items() if count} == {"rank 1"}
    assert "rank 1 to rank 2" in copied.source
    with pytest.raises(Wrong, match="arrived changed: rank 1 to rank 2"):
        peer_copies.load(RANKS, seconds=0.0, size_mib=1)


def test_links_are_loaded_for_as_long_as_asked() -> None:
    assert peer_copies.load(RANKS, seconds=0.05, size_mib=1) >= 1
    assert peer_copies.load(RANKS, seconds=0.0, size_mib=1) == 0


def test_one_gpu_has_no_other_to_copy_to() -> None:
    with pytest.raises(Inconclusive, match="fewer than two GPUs"):
        peer_copies.between(RANKS[:1])


def test_memory_that_is_not_there_is_not_taken() -> None:
    short = tuple(Device("cpu", index, "CPU", margin_gib=1e6) for index in range(2))
    with pytest.raises(Inconclusive, match="three buffers of 1 MiB"):
        peer_copies.between(short, size_mib=1)


def test_pairs_of_gpus_without_access_are_named_whichever_direction_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")
    copies = PeerCopies(RANKS, 4096)
    copies.devices = tuple(Device("cuda", index, "NVIDIA H100") for index in range(3))
    monkeypatch.setattr(torch.cuda, "can_device_access_peer", lambda first, second: (first, second) != (2, 0))
    assert copies.apart() == (("GPU 0", "GPU 2"),)
