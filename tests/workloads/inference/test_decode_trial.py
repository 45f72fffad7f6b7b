"""Candidates for a decoding step are compared with the plain one; what errs is refused with its reason."""

import contextlib
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.inference import decode_steps, decode_trial, fused_products, step_trial
from dgxcert.workloads.inference.decode_steps import ACTIVATION_ONCE, BLOCK_ARGMAX, FUSED_NORM, FUSED_ROTARY, PLAIN
from dgxcert.workloads.inference.static_llama import StaticLlama
from dgxcert.workloads.models import architectures, seeded

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

CPU = Device("cpu", 0, "CPU")
SMALL = architectures.Shape(256, 256, 2, 4, 2, 64, 384, tied=False)
ON_CPU = frozenset({ACTIVATION_ONCE, FUSED_NORM, FUSED_ROTARY, BLOCK_ARGMAX})


@pytest.fixture(scope="module")
def model() -> Any:
    return seeded.build(CPU, SMALL, "fp32")


@pytest.fixture
def llama(model: Any) -> StaticLlama:
    tuned = StaticLlama(model, CPU, "fp32", 1, 24, compiled=False)
    tuned.start_decode(torch.arange(12)[None])
    return tuned


def test_on_a_cpu_all_steps_are_compared_and_none_is_kept(llama: StaticLlama) -> None:
    choice = decode_trial.choose(llama, CPU, tokens=12)
    assert choice.kept == llama.steps == PLAIN
    (candidate,) = choice.tried
    assert (candidate.steps, candidate.about) == (ON_CPU, decode_trial.NOT_TIMED)
    assert set(choice.left) == {decode_steps.DEPENDENT_LAUNCH, decode_steps.HEAD_ARGMAX}


def test_the_decoding_after_a_trial_is_that_without_one(llama: StaticLlama) -> None:
    generated = []
    for _ in range(2):
        for _ in range(6):
            llama.decode_one_token()
        generated.append(llama.generated[:, :6].clone())
        decode_trial.choose(llama, CPU, tokens=12)
    assert torch.equal(*generated)


def no_rotation(right: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    hidden, norm, matrix, cos, sin, values = inputs
    return right(hidden, norm, matrix, torch.ones_like(cos), torch.zeros_like(sin), values, **options)


def not_finite(right: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    return right(*inputs, **options) * float("nan")


def the_next_token(right: Callable[..., Any], values: Any) -> Any:
    return (right(values) + 1) % values.shape[-1]


def no_memory(right: Callable[..., Any], *_: Any, **__: Any) -> Any:
    raise RuntimeError("CUDA out of memory\nand a trace")


@pytest.mark.parametrize(
    ("function", "wrong", "reason"),
    [
        ("rotated_qkv", no_rotation, r"logits differ by \S+ of their standard deviation"),
        ("activation", not_finite, "logits are not finite"),
        ("block_argmax", the_next_token, "a token is not that of the largest logit"),
        ("logits", no_memory, "CUDA out of memory$"),
    ],
    ids=["a rotation that is lost", "an overflow", "another token", "an error of torch"],
)
def test_a_candidate_that_errs_is_refused_and_the_plain_step_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    llama: StaticLlama,
    function: str,
    wrong: Callable[..., Any],
    reason: str,
) -> None:
    right = getattr(fused_products, function)
    monkeypatch.setattr(fused_products, function, lambda *inputs, **options: wrong(right, *inputs, **options))
    choice = decode_trial.choose(llama, CPU, tokens=12)
    assert choice.kept == llama.steps == PLAIN
    assert re.search(f"^refused, {reason}", choice.tried[0].about)
    llama.decode_one_token()
    assert bool(llama.logits.isfinite().all())


def test_a_token_that_the_plain_logits_rate_much_lower_is_refused() -> None:
    exact = torch.zeros(1, 1000)
    exact[0, :500] = 1.0  # a standard deviation of a half
    exact[0, 7], exact[0, 900] = 1.1, 0.9
    expected = decode_trial._Plain(exact, torch.tensor([[7]]))
    near, far = exact.clone(), exact.clone()
    near[0, 900], far[0, 999] = 1.2, 1.5
    decode_trial._require_same(near, torch.tensor([[900]]), expected, "bf16")
    with pytest.raises(step_trial.RefusedError, match=r"a token falls short by 2\.2 standard deviations"):
        decode_trial._require_same(far, torch.tensor([[999]]), expected, "bf16")


def test_what_pays_is_used_and_the_next_case_begins_with_it(
    monkeypatch: pytest.MonkeyPatch, llama: StaticLlama
) -> None:
    gpu = Device("cuda", 0, "GPU")  # the trial's device only: the model stays where it is
    monkeypatch.setattr(Device, "wait", lambda self: None)
    monkeypatch.setattr(decode_trial, "_KEPT", {})
    shares = {PLAIN: 1.0, frozenset({FUSED_NORM}): 0.9, frozenset({FUSED_NORM, BLOCK_ARGMAX}): 0.95}
    monkeypatch.setattr(decode_trial._Trial, "_seconds", lambda self, steps: shares.get(steps, 1.1))
    choice = decode_trial.choose(llama, gpu, tokens=12)
    assert choice.kept == llama.steps == {FUSED_NORM}
    assert len(choice.tried) > len(ON_CPU)
    again = decode_trial.choose(llama, gpu, tokens=12)
    assert again.kept == {FUSED_NORM}
    assert [candidate.steps for candidate in again.tried] == [frozenset({FUSED_NORM})]


def test_where_nothing_paid_the_next_case_tries_nothing(monkeypatch: pytest.MonkeyPatch, llama: StaticLlama) -> None:
    gpu = Device("cuda", 0, "GPU")
    monkeypatch.setattr(Device, "wait", lambda self: None)
    monkeypatch.setattr(decode_trial, "_KEPT", {})
    monkeypatch.setattr(decode_trial._Trial, "_seconds", lambda self, steps: 1.0)
    assert decode_trial.choose(llama, gpu, tokens=12).kept == PLAIN
    again = decode_trial.choose(llama, gpu, tokens=12)
    assert (again.kept, again.tried) == (PLAIN, [])
    assert again.left[FUSED_NORM] == decode_trial.EARLIER


def test_candidates_are_timed_by_whole_turns(monkeypatch: pytest.MonkeyPatch, llama: StaticLlama) -> None:
    taken: list[decode_steps.Steps] = []
    decode = StaticLlama.decode_one_token
    monkeypatch.setattr(StaticLlama, "decode_one_token", lambda self: taken.append(self.steps) or decode(self))
    trial = decode_trial._Trial(llama, CPU, tokens=5)
    steps = frozenset({FUSED_NORM})
    seconds, plain_s = trial.measure(steps)
    assert min(seconds, plain_s) > 0
    assert taken.count(steps) == decode_trial.COMPARED_STEPS + 5 * step_trial.TURNS


def test_on_a_gpu_each_candidate_is_captured_once_and_only_the_kept_one_stays(
    monkeypatch: pytest.MonkeyPatch, llama: StaticLlama
) -> None:
    gpu = Device("cuda", 0, "GPU")
    captured: list[decode_steps.Steps] = []

    def capture(self: StaticLlama) -> Any:
        form = self._form
        captured.append(self.steps)

        def replay() -> None:  # a graph computes what was captured, whatever the model uses by then
            with monkeypatch.context() as patch, torch.no_grad():
                patch.setattr(self, "_form", form)
                self._forward_one_token()

        return SimpleNamespace(replay=replay)

    monkeypatch.setattr(torch.cuda, "device", lambda index: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    monkeypatch.setattr(Device, "wait", lambda self: None)
    monkeypatch.setattr(StaticLlama, "_captured", capture)
    monkeypatch.setattr(decode_trial, "_KEPT", {})
    monkeypatch.setattr(step_trial, "LEAST_GAIN", -100.0)  # everything pays
    monkeypatch.setattr(llama, "_device", gpu)
    llama.precision = "bf16"
    llama._graphs[PLAIN] = capture(llama)
    choice = decode_trial.choose(llama, gpu, tokens=4)
    assert choice.kept != PLAIN
    assert len(captured) == len(set(captured)) == 1 + len(choice.tried)
    assert set(llama._graphs) == set(llama._forms) == {choice.kept}
    assert all(candidate.share is not None for candidate in choice.tried)
