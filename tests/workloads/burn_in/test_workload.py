"""Every result of a burn-in is compared: one wrong value in the middle of a cycle is counted."""

from collections.abc import Callable

import pytest
import torch

from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.burn_in.workload import Copies, Matmuls, Training, rate
from dgxcert.workloads.hardware.matmul import Matmul

CPU = Device("cpu", 0, "CPU", margin_gib=1.0)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def small() -> Profile:
    shipped = profiles.load("cpu")
    sizes = {
        "matmul": shipped.workloads.matmul.model_copy(update={"size": 128, "products": 3}),
        "bandwidth": shipped.workloads.bandwidth.model_copy(update={"size_mib": 1}),
    }
    return shipped.model_copy(update={"workloads": shipped.workloads.model_copy(update=sizes)})


def spoil(monkeypatch: pytest.MonkeyPatch, spoiling: Callable[[torch.Tensor], None], call: int = 0) -> None:
    """Change the result of a matmul, in one of the calls from now on; in each of them where `call` is 0."""
    real, calls = Matmul._multiply, 0

    def multiply(matmul: Matmul) -> None:
        nonlocal calls
        calls += 1
        real(matmul)
        if call in (0, calls):
            spoiling(matmul._result)

    monkeypatch.setattr(Matmul, "_multiply", multiply)


def flip(result: torch.Tensor) -> None:
    """One bit of one value."""
    result.view(torch.int32)[5, 7] ^= 1


@pytest.mark.catches("BURN-IN", "the last bit of one value of any matmul after the first")
@pytest.mark.parametrize("call", [1, 2, 3])
def test_one_bit_of_one_matmul_in_the_middle_of_a_round_is_counted(
    small: Profile, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    work = Matmuls(CPU, small, "fp32")
    expected = work.fingerprint()
    spoil(monkeypatch, flip, call)
    assert rate(work, 0.0) > 0
    assert (work.wrong(), work.fingerprint() == expected) == (1, call < 3)
    work.run()
    assert work.wrong() == 0, "it is counted once"


def test_a_bit_that_flips_in_the_first_round_is_counted(small: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, flip, 2)
    assert Matmuls(CPU, small, "fp32").wrong() == 1


@pytest.mark.catches("BURN-IN", "one value of the first matmul, as in MATMUL-SPEED")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (1e6, "error of the first matmul"),
        (0.01, r"error of a part of the first matmul \((row 5 from column 0|column 7 from row 0)\)"),
        (float("nan"), "finite"),
    ],
)
def test_a_first_matmul_that_is_wrong_is_refused(
    small: Profile, monkeypatch: pytest.MonkeyPatch, wrong: float, words: str
) -> None:
    spoil(monkeypatch, lambda result: result[5, 7].add_(wrong))
    with pytest.raises(Wrong, match=words):
        Matmuls(CPU, small, "fp32")


@pytest.mark.catches("BURN-IN", "one bit of one word of any copy")
def test_every_copy_is_compared(small: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Copies(CPU, small)
    assert rate(work, 0.02) > 0
    assert work.wrong() == 0
    copy = work._copy
    real = copy.run

    def flipping() -> None:
        real()
        copy._target[77] ^= 4

    monkeypatch.setattr(copy, "run", flipping)
    work.run()
    monkeypatch.setattr(copy, "run", real)
    work.run()
    assert work.wrong() == 1, "the good copy after it does not hide it"
    monkeypatch.setattr(copy, "run", lambda: None)
    work.run()
    assert work.wrong() > 0.99 * copy._source.numel(), "a copy that does nothing is counted, also after a right one"


@pytest.mark.catches("BURN-IN", "the last bit of one input of a training step")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_training_gives_the_same_weights_and_one_with_a_flipped_bit_does_not(precision: str) -> None:
    work = Training(CPU, precision, steps=3)
    assert rate(work, 0.0) > 0
    first = work.fingerprint()
    work.run()
    assert (work.fingerprint(), work.wrong()) == (first, 0)
    work._inputs.view(torch.uint8)[0, 0] ^= 1
    work.run()
    assert work.fingerprint() != first
    work._inputs.view(torch.uint8)[0, 0] ^= 1
    work.run()
    assert work.fingerprint() == first
    assert work.wrong() > 0, "the good training after it does not hide it"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_right_gradient_is_quiet(precision: str) -> None:
    Training(CPU, precision, steps=1)


@pytest.mark.catches("BURN-IN", "a sampled column of the first training gradient halved, each time alike")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("factor", [-1.0, 0.5, 0.0])
def test_a_gradient_that_is_wrong_each_time_alike_is_caught(
    monkeypatch: pytest.MonkeyPatch, precision: str, factor: float
) -> None:
    right = Training._gradient

    def wrong(training: Training, weights: torch.Tensor) -> torch.Tensor:
        gradient = right(training, weights)
        gradient[:, 128] *= factor
        return gradient

    monkeypatch.setattr(Training, "_gradient", wrong)
    with pytest.raises(Wrong, match="first gradient"):
        Training(CPU, precision, steps=1)
