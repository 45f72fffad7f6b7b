"""Inference: prefill (reading prompts, bound by multipliers) and decode (writing tokens, bound by memory).

`stock` is `model.generate`, which is what a user gets; `tuned` is the same model through `static_llama`.
"""

import statistics
from typing import TYPE_CHECKING

from dgxcert.judgement.benchmark_cases import INT4, NF4, TUNED, Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Bound
from dgxcert.judgement.rounds import Rounds, Work
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Inference as Sizes
from dgxcert.profiles.workload_sizes import Setting
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware import ceilings, rooflines
from dgxcert.workloads.hardware.rooflines import Peaks
from dgxcert.workloads.inference.static_llama import StaticLlama
from dgxcert.workloads.inference.token_times import Marks
from dgxcert.workloads.models import architectures, int4, nf4, seeded
from dgxcert.workloads.round_timer import AddRound, repeat

if TYPE_CHECKING:
    import torch

SEED = 3
EAGER_BYTES = 2 * allocation.GIB
"""Plain attention holds every score; where that takes more than this, the reference uses torch's fused attention."""


class Inference:
    """A model on a device with random prompts, in one case; `prompt` has shape (batch, tokens)."""

    def __init__(self, device: Device, profile: Profile, sizes: Sizes, case: Case) -> None:
        import torch

        self.device, self.case = device, case
        self.setting, self.shape = _setting(profile, sizes, case), architectures.find(sizes.model)
        self.compute = numerics.compute_precision(case.precision, device.kind)
        length = self.setting.prompt + self.setting.new_tokens
        beside = _beside_bytes(self.shape, self.setting, self.compute, length)
        weights = "bf16" if case.precision == INT4 else case.precision  # made in 16 bits, which stay as the reference
        self.model = seeded.build(device, self.shape, weights, beside_bytes=beside)
        self.model.generation_config.eos_token_id = None  # a random model must not stop where it likes
        generator = torch.Generator("cpu").manual_seed(SEED)
        rows = torch.randint(0, self.shape.vocabulary, (self.setting.batch, self.setting.prompt), generator=generator)
        self.prompt = rows.to(device.name)
        self._to_first: list[float] = []
        self.logits: torch.Tensor | None = None
        """Of the last token of the last round, (batch, vocabulary)."""
        self.written: torch.Tensor | None = None
        """Tokens of the last round, (batch, new tokens)."""
        if case.path == TUNED:
            batch, compiled = self.setting.batch, sizes.compile
            self.tuned = StaticLlama(self.model, device, case.precision, batch, length, compiled=compiled)

    def generate(self, new_tokens: int) -> Marks:
        """One call of `model.generate`, greedy; returns when the device is done."""
        import torch

        marks = Marks(self.device)
        options = {"max_new_tokens": new_tokens, "do_sample": False, "pad_token_id": 0, "logits_processor": [marks]}
        ids = self.model.generate(self.prompt, attention_mask=torch.ones_like(self.prompt), **options)
        self.device.wait()
        self._to_first.append(marks.to_first_s)
        self.written, self.logits = ids[:, self.setting.prompt :], marks.logits
        return marks

    def verify(self, evidence: Recorder) -> None:
        """Hold the last round's tokens and logits against one pass of the model over all of them; raises Wrong."""
        import torch

        self._verify_weights(evidence)
        if self.logits is None or self.written is None:
            raise RuntimeError("verify() comes after a round")
        wanted = self.setting.new_tokens if isinstance(self, Decode) else 1
        count = evidence.record("tokens written", self.written.shape[1], unit="token", source="the last timed round")
        evidence.require(count == wanted)
        finite = bool(self.logits.isfinite().all())
        sound = evidence.record("logits are finite", finite, source="the last step of the last timed round, all rows")
        evidence.require(sound.holds())
        whole = torch.cat([self.prompt, self.written], 1)[:, :-1]
        apart, short, attention = 0.0, 0.0, ""
        for row, ids in enumerate(whole):  # one at a time, which keeps the reference small
            reference, attention = self._reference(ids, wanted)
            difference, margin = self._distance(reference, self.logits[row], self.written[row])
            apart, short = max(apart, difference), max(short, margin)
        how = f"{self.case.path} path, the worst of {len(whole)} rows against one pass each with {attention} attention "
        found = (
            ("logits differ by", apart, numerics.path_tolerance(self.case.precision)),
            ("chosen tokens fall short by", short, numerics.choice_tolerance(self.case.precision)),
        )
        for name, value, limit in found:
            measured = evidence.record(name, value, unit=str(limit.unit), source=f"{how}and without a cache")
            evidence.require(measured.within(limit))

    def _reference(self, ids: "torch.Tensor", keep: int) -> "tuple[torch.Tensor, str]":
        """Logits (keep, vocabulary) of a plain forward pass over one row, and which attention it had."""
        import torch

        scores = self.shape.heads * len(ids) ** 2 * 6  # in 16 bits and in 32
        attention = "eager" if scores <= EAGER_BYTES else "sdpa"
        usual = self.model.config._attn_implementation
        self.model.set_attn_implementation(attention)
        try:
            with torch.inference_mode():
                found = self.model(input_ids=ids[None], use_cache=False, logits_to_keep=keep).logits[0].float()
        finally:
            self.model.set_attn_implementation(usual)
        if not bool(found.isfinite().all()):
            raise Wrong("the logits of a plain pass are not finite")
        return found, attention

    @staticmethod
    def _distance(reference: "torch.Tensor", last: "torch.Tensor", written: "torch.Tensor") -> tuple[float, float]:
        """How far the last logits are off, and by how much the reference rates another token higher than a chosen one.

        Both in standard deviations of the reference's logits; of a right token, rounding explains what is left.
        """
        std = float(reference.std())
        difference = float((last.float() - reference[-1]).square().mean().sqrt())
        margin = reference.max(-1).values - reference.gather(-1, written[:, None])[:, 0]
        return difference / std, float(margin.max()) / std

    def _verify_weights(self, evidence: Recorder) -> None:
        """Hold a sample of 4-bit layers against fp64 on what their weights mean; raises Wrong."""
        if self.case.precision == NF4:
            error, what = nf4.error(self.model, self.device, self.compute), "NF4"
        elif self.case.precision == INT4:
            error, what = int4.error(self.model, self.tuned.packed, self.device), "int4"
        else:
            return
        source = (
            f"{what} layers against fp64 on their dequantised weights, the worst of the first, a middle and the last"
        )
        found = evidence.record(f"{what} product error", error, unit="relative", source=source)
        evidence.require(found.within(numerics.product_tolerance(self.case.precision)))

    def record_latency(self, evidence: Recorder, rounds: Rounds) -> None:
        """Keep what a person waits for: the time to the first token, and the time per token after it."""
        if self._to_first:
            first_ms = 1e3 * statistics.median(self._to_first[-len(rounds.seconds) :])
            how = "median of the timed rounds, from the call to the first token's logits"
            evidence.record("time to first token", first_ms, unit="ms", source=how)
        if isinstance(self, Decode):
            step_ms = 1e3 * rounds.median_s * self.setting.batch / self.work.amount
            source = f"median of the timed rounds; {self.setting.batch} rows a step"
            evidence.record("time per output token", step_ms, unit="ms", source=source)


class Prefill(Inference):
    """One round reads all prompts and yields the logits that follow them."""

    def __init__(self, device: Device, profile: Profile, case: Case) -> None:
        super().__init__(device, profile, profile.workloads.prefill, case)
        setting = self.setting
        cost = rooflines.prefill(self.shape, case.precision, self.compute, setting.prompt, setting.batch)
        self.work = _work(device, profile, self.compute, float(setting.prompt * setting.batch), cost)

    def run_rounds(self, add_round: AddRound) -> None:
        """One prefill of all prompts after another."""
        repeat(self._read if self.case.path == TUNED else self._generate, add_round)

    def _read(self) -> None:
        self.logits = self.tuned.read(self.prompt)
        self.written = self.logits.argmax(-1, keepdim=True)
        self.device.wait()

    def _generate(self) -> None:
        self.generate(1)


class Decode(Inference):
    """One round writes tokens greedily after the prompts."""

    def __init__(self, device: Device, profile: Profile, case: Case) -> None:
        super().__init__(device, profile, profile.workloads.decode, case)
        setting = self.setting
        cost = rooflines.decode(self.shape, case.precision, self.compute, setting.prompt, setting.batch)
        steps = setting.new_tokens if case.path == TUNED else setting.new_tokens - 1
        self.work = _work(device, profile, self.compute, float(setting.batch), cost, times=steps)

    def run_rounds(self, add_round: AddRound) -> None:
        """One completion after another; of `generate` only the time between the first and the last token counts."""
        if self.case.path == TUNED:
            self.tuned.begin(self.prompt)
            repeat(self._write, add_round, before=self.tuned.rewind)
            return
        wanted = True
        while wanted:
            marks = self.generate(self.setting.new_tokens)
            if marks.tokens != self.setting.new_tokens:
                raise Inconclusive(f"generate marked {marks.tokens} tokens, wanted {self.setting.new_tokens}")
            wanted = add_round(marks.writing_s)

    def _write(self) -> None:
        for _ in range(self.setting.new_tokens):
            self.tuned.step()
        self.device.wait()
        self.written, self.logits = self.tuned.written[:, : self.setting.new_tokens], self.tuned.logits


def _setting(profile: Profile, sizes: Sizes, case: Case) -> Setting:
    try:
        return sizes.setting(case.setting)
    except KeyError as error:
        raise Inconclusive(
            f"profile {profile.name} gives no sizes for the setting {case.setting}",
            f"Add `{case.setting}` under `workloads:` in the profile, or name the requirement under `not_applicable:`.",
        ) from error


def _beside_bytes(shape: architectures.Shape, setting: Setting, compute: str, length: int) -> float:
    """Cache, logits with those of the reference, and a layer's activations, of all rows and tokens of the prompts."""
    width, rows = rooflines.BYTES[compute], setting.batch
    cache = rows * length * shape.cache_values_per_token * width
    logits = 4.0 * shape.vocabulary * (rows + 2 * setting.new_tokens)
    activations = rows * length * (6 * shape.hidden + 3 * shape.intermediate) * width
    scores = min(float(EAGER_BYTES), 6.0 * shape.heads * length**2)
    return 2 * cache + logits + activations + scores  # stock's cache is copied when it grows


def _work(device: Device, profile: Profile, compute: str, tokens: float, cost: rooflines.Cost, times: int = 1) -> Work:
    bounds: list[Bound] = [
        cost.bound(tokens, "token/s", peaks)
        for peaks in (Peaks.of(profile, compute), ceilings.peaks(device, profile, compute))
    ]
    return Work(device, tokens * times, roofline=bounds[0], ceiling=bounds[1], grace=ceilings.grace(profile))


def prepare_prefill(device: Device, profile: Profile, case: Case) -> Prefill:
    """The prefill that a profile asks for in a case."""
    return Prefill(device, profile, case)


def prepare_decode(device: Device, profile: Profile, case: Case) -> Decode:
    """The decode that a profile asks for in a case."""
    return Decode(device, profile, case)
