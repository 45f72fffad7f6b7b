"""Inference: prefill (all tokens of a prompt at once, bound by matmul) and decode (token by token, bound by memory).

`stock` is `model.generate`, which is what a user gets; `tuned` is the same model through `static_llama`.
"""

import statistics
from typing import TYPE_CHECKING

from dgxcert.judgement.benchmark_cases import INT4, NF4, TUNED, Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Bound
from dgxcert.judgement.rounds import Rounds, Work
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Inference as Sizes
from dgxcert.profiles.workload_sizes import Setting
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware import ceilings, rooflines
from dgxcert.workloads.hardware.rooflines import Peaks
from dgxcert.workloads.inference import attention_probe, decode_trial
from dgxcert.workloads.inference.attention_probe import ProbeError
from dgxcert.workloads.inference.static_llama import StaticLlama
from dgxcert.workloads.inference.step_trial import Choice
from dgxcert.workloads.inference.token_times import TokenTimes
from dgxcert.workloads.models import architectures, nf4, seeded
from dgxcert.workloads.models.four_bit import trial as four_bit_trial
from dgxcert.workloads.round_timer import AddRound, compiled_graphs, repeat

if TYPE_CHECKING:
    import torch

SEED = 3
EAGER_BYTES = 2 * allocation.GIB
"""Eager attention keeps every score; where these take more bytes, the reference uses torch's fused attention."""


class Inference:
    """A model on a device with random prompts, in one case.

    Raises Inconclusive where the profile has no sizes for the case, and where the model does not fit into memory.
    """

    def __init__(self, device: Device, profile: Profile, sizes: Sizes, case: Case) -> None:
        import torch

        self.device, self.case = device, case
        self.setting, self.shape = _setting(profile, sizes, case), architectures.find(sizes.model)
        self.compute = numerics.compute_precision(case.precision, device.kind)
        length = self.setting.prompt + self.setting.new_tokens
        working = _working_bytes(self.shape, self.setting, self.compute, length)
        self.four_bit: four_bit_trial.Choice | None = None
        """Whose kernels multiply 4-bit weights on the tuned path; None elsewhere."""
        if case.path == TUNED and case.precision in (INT4, NF4):
            self.four_bit = four_bit_trial.choose(device, case.precision, self.shape.joined_products, self._timed_rows)
        weights = "bf16" if case.precision == INT4 else case.precision  # quantised later; bf16 stays as the reference
        self.model = seeded.build(device, self.shape, weights, extra_bytes=working)
        self.model.generation_config.eos_token_id = None  # random weights would end a completion at random
        generator = torch.Generator("cpu").manual_seed(SEED)
        ids = torch.randint(0, self.shape.vocabulary, (self.setting.batch, self.setting.prompt), generator=generator)
        self.prompt = ids.to(device.name)
        """Random token ids, (batch, tokens)."""
        self._times_to_first_token_s: list[float] = []
        self.logits: torch.Tensor | None = None
        """Logits of the last token of the last round, (batch, vocabulary)."""
        self.generated: torch.Tensor | None = None
        """Tokens generated in the last round, (batch, new tokens)."""
        if case.path == TUNED:
            batch, compiled = self.setting.batch, sizes.compile
            own = self.four_bit is not None and self.four_bit.own
            options = {"compiled": compiled, "own_kernels": own}
            self.tuned = StaticLlama(self.model, device, case.precision, batch, length, **options)

    @property
    def _timed_rows(self) -> int:
        """Rows of the products in the timed rounds."""
        return self.setting.batch

    def generate(self, new_tokens: int) -> TokenTimes:
        """One call of `model.generate`, greedy; returns when the device is done."""
        import torch

        times = TokenTimes(self.device)
        options = {"max_new_tokens": new_tokens, "do_sample": False, "pad_token_id": 0, "logits_processor": [times]}
        ids = self.model.generate(self.prompt, attention_mask=torch.ones_like(self.prompt), **options)
        self.device.wait()
        self._times_to_first_token_s.append(times.time_to_first_token_s)
        self.generated, self.logits = ids[:, self.setting.prompt :], times.logits
        return times

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Compare the last round's tokens and logits with one forward pass over all of them; raises Wrong."""
        import torch

        self._verify_weights(evidence)
        if self.logits is None or self.generated is None:
            raise RuntimeError("verify() comes after a round")
        expected = self.setting.new_tokens if isinstance(self, Decode) else 1
        source = "the last timed round"
        tokens = evidence.record("generated tokens", self.generated.shape[1], unit="token", source=source)
        evidence.require(tokens == expected)
        source = "the last step of the last timed round, all rows"
        finite = evidence.record("logits are finite", bool(self.logits.isfinite().all()), source=source)
        evidence.require(finite.holds())
        sequences = torch.cat([self.prompt, self.generated], 1)[:, :-1]
        worst_difference, worst_shortfall, attention = 0.0, 0.0, ""
        for row, ids in enumerate(sequences):  # one at a time, which keeps the reference small
            reference, attention = self._reference(ids, expected)
            difference, shortfall = self._distance(reference, self.logits[row], self.generated[row])
            worst_difference, worst_shortfall = max(worst_difference, difference), max(worst_shortfall, shortfall)
        source = (
            f"{self.case.path} path, the worst of {len(sequences)} rows, each compared with one forward pass with "
            f"{attention} attention and without a KV cache"
        )
        limit = numerics.path_tolerance(self.case.precision)
        logits = evidence.record("logits differ by", worst_difference, unit=str(limit.unit), source=source)
        evidence.require(logits.within(limit))
        limit = numerics.choice_tolerance(self.case.precision)
        choices = evidence.record("chosen tokens fall short by", worst_shortfall, unit=str(limit.unit), source=source)
        evidence.require(choices.within(limit))
        if self.case.path == TUNED:
            self._verify_attention(evidence)

    def _verify_attention(self, evidence: Recorder) -> None:
        """Compare every head of every layer with fp64, by the functions of the timed rounds; raises Wrong.

        Last of all: it overwrites the KV cache.
        """
        compiled = compiled_graphs()
        probed = self._probe_attention()
        compiled = compiled_graphs() - compiled
        source = f"each head of the timed layers against fp64 (graphs compiled for it: {compiled}), at {probed.where}"
        error = evidence.record("attention of the worst head", probed.error, unit="relative", source=source)
        evidence.require(error.within(attention_probe.tolerance(self.compute)))

    def _probe_attention(self) -> ProbeError:
        raise NotImplementedError

    def _reference(self, ids: "torch.Tensor", keep: int) -> "tuple[torch.Tensor, str]":
        """Logits (keep, vocabulary) of the last positions of one forward pass over a row of ids, and its attention."""
        import torch

        score_bytes = self.shape.heads * len(ids) ** 2 * 6  # each score in 16 bits and, for the softmax, in 32
        attention = "eager" if score_bytes <= EAGER_BYTES else "sdpa"
        configured = self.model.config._attn_implementation
        self.model.set_attn_implementation(attention)
        try:
            with torch.inference_mode():
                logits = self.model(input_ids=ids[None], use_cache=False, logits_to_keep=keep).logits[0].float()
        finally:
            self.model.set_attn_implementation(configured)
        if not bool(logits.isfinite().all()):
            raise Wrong("the logits of a plain forward pass are not finite")
        return logits, attention

    @staticmethod
    def _distance(reference: "torch.Tensor", last: "torch.Tensor", tokens: "torch.Tensor") -> tuple[float, float]:
        """Error of the last logits (vocabulary,), and by how much the reference prefers another token to a chosen one.

        `reference` is of shape (tokens, vocabulary). Both are in standard deviations of it; for a right token the
        second comes from rounding alone.
        """
        std = float(reference.std())
        difference = float((last.float() - reference[-1]).square().mean().sqrt())
        shortfall = reference.max(-1).values - reference.gather(-1, tokens[:, None])[:, 0]
        return difference / std, float(shortfall.max()) / std

    def _verify_weights(self, evidence: Recorder) -> None:
        """Compare a sample of 4-bit layers with fp64 on their dequantised weights; raises Wrong."""
        if self.four_bit is not None:
            self.four_bit.record(evidence)
        if self.case.path == TUNED:
            error = self.tuned.form.error(self.device)
        else:
            error = nf4.error(self.model, self.device) if self.case.precision == NF4 else None
        if error is None:
            return
        kind = {NF4: "NF4", INT4: "int4"}[self.case.precision]
        source = (
            f"{kind} layers against fp64 on their dequantised weights, the worst of the first, a middle and the last"
        )
        measured = evidence.record(f"{kind} product error", error, unit="relative", source=source)
        evidence.require(measured.within(numerics.matmul_tolerance(self.case.precision)))

    def record_latency(self, evidence: Recorder, rounds: Rounds) -> None:
        """Record the time to first token and the time per output token, in ms."""
        if self._times_to_first_token_s:
            first_ms = 1e3 * statistics.median(self._times_to_first_token_s[-len(rounds.seconds) :])
            source = "median of the timed rounds, from the call to the first token's logits"
            evidence.record("time to first token", first_ms, unit="ms", source=source)
        if isinstance(self, Decode):
            step_ms = 1e3 * rounds.median_s * self.setting.batch / self.work.amount
            source = f"median of the timed rounds; {self.setting.batch} rows a step"
            evidence.record("time per output token", step_ms, unit="ms", source=source)


class Prefill(Inference):
    """One round is a prefill of all prompts, which ends with the logits of the first new token."""

    def __init__(self, device: Device, profile: Profile, case: Case) -> None:
        super().__init__(device, profile, profile.workloads.prefill, case)
        setting = self.setting
        cost = rooflines.prefill(self.shape, case.precision, self.compute, setting.prompt, setting.batch)
        self.work = _work(device, profile, self.compute, float(setting.prompt * setting.batch), cost)

    @property
    def _timed_rows(self) -> int:
        return self.setting.batch * self.setting.prompt

    def run_rounds(self, add_round: AddRound) -> None:
        """One prefill of all prompts after another."""
        repeat(self._run_tuned if self.case.path == TUNED else self._run_stock, add_round)

    def _run_tuned(self) -> None:
        self.logits = self.tuned.prefill(self.prompt)
        self.generated = self.logits.argmax(-1, keepdim=True)
        self.device.wait()

    def _run_stock(self) -> None:
        self.generate(1)

    def _probe_attention(self) -> ProbeError:
        return attention_probe.prefill_error(self.tuned, self.setting.prompt)


class Decode(Inference):
    """One round generates tokens greedily after the prompts."""

    def __init__(self, device: Device, profile: Profile, case: Case) -> None:
        super().__init__(device, profile, profile.workloads.decode, case)
        setting = self.setting
        cost = rooflines.decode(self.shape, case.precision, self.compute, setting.prompt, setting.batch)
        # `generate` computes the first token in its prefill, which is not part of a round.
        steps = setting.new_tokens if case.path == TUNED else setting.new_tokens - 1
        self.work = _work(device, profile, self.compute, float(setting.batch), cost, times=steps)
        self.choice: Choice | None = None
        """Steps of the tuned path that were kept, and their trial; None before the rounds and on the stock path."""

    def run_rounds(self, add_round: AddRound) -> None:
        """One completion after another; of `generate` only the time between the first and the last token counts."""
        if self.case.path == TUNED:
            self.tuned.start_decode(self.prompt)
            self.choice = decode_trial.choose(self.tuned, self.device, self.setting.new_tokens)
            repeat(self._run_tuned, add_round, before=self.tuned.rewind)
            return
        wanted = True
        while wanted:
            times = self.generate(self.setting.new_tokens)
            if times.tokens != self.setting.new_tokens:
                raise Inconclusive(f"generate returned {times.tokens} tokens, {self.setting.new_tokens} were requested")
            wanted = add_round(times.decode_s)

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Record which steps the tuned path kept, then check what `Inference.verify` checks."""
        if self.choice is not None:
            self.choice.record(evidence)
        super().verify(evidence)

    def _run_tuned(self) -> None:
        for _ in range(self.setting.new_tokens):
            self.tuned.decode_one_token()
        self.device.wait()
        self.generated, self.logits = self.tuned.generated[:, : self.setting.new_tokens], self.tuned.logits

    def _probe_attention(self) -> ProbeError:
        first = self.setting.prompt - 1  # the first timed step reads the last token of the prompt
        return attention_probe.decode_error(self.tuned, (first, first + self.setting.new_tokens - 1))


def _setting(profile: Profile, sizes: Sizes, case: Case) -> Setting:
    try:
        return sizes.setting(case.setting)
    except KeyError as error:
        raise Inconclusive(
            f"profile {profile.name} has no sizes for the setting {case.setting}",
            f"Add `{case.setting}` under `workloads:` in the profile, or name the requirement under `not_applicable:`.",
        ) from error


def _working_bytes(shape: architectures.Shape, setting: Setting, compute: str, length: int) -> float:
    """Bytes beside the weights: KV cache, logits with those of the reference, and a layer's activations and scores."""
    width, rows = architectures.BYTES[compute], setting.batch
    cache = rows * length * shape.cache_values_per_token * width
    logits = 4.0 * shape.vocabulary * (rows + 2 * setting.new_tokens)
    activations = rows * length * (6 * shape.hidden + 3 * shape.intermediate) * width
    scores = min(float(EAGER_BYTES), 6.0 * shape.heads * length**2)
    probed = attention_probe.working_bytes(shape, rows, length, setting.prompt if setting.new_tokens == 1 else 1)
    return 2 * cache + logits + activations + max(scores, probed)  # the cache of `generate` is copied when it grows


def _work(device: Device, profile: Profile, compute: str, tokens: float, cost: rooflines.Cost, times: int = 1) -> Work:
    bounds: list[Bound] = [
        cost.bound(tokens, "token/s", peaks)
        for peaks in (Peaks.of(profile, compute), ceilings.peaks(device, profile, compute))
    ]
    return Work(device, tokens * times, roofline=bounds[0], ceiling=bounds[1], grace=ceilings.grace(profile))


@LEDGER.on(Spent.BUILDING)
def prepare_prefill(device: Device, profile: Profile, case: Case) -> Prefill:
    """The prefill that a profile asks for in a case."""
    return Prefill(device, profile, case)


@LEDGER.on(Spent.BUILDING)
def prepare_decode(device: Device, profile: Profile, case: Case) -> Decode:
    """The decode that a profile asks for in a case."""
    return Decode(device, profile, case)
