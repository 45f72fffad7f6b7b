"""Inference: prefill (reading a prompt, bound by multipliers) and decode (writing tokens, bound by memory).

Timed is the plainest way that transformers offers, one forward pass of the model per step through its key-value
cache, so that the figure is the machine's and not that of the bookkeeping around it.
"""

from typing import TYPE_CHECKING, Any

from dgxcert.device import Device
from dgxcert.evidence import Recorder
from dgxcert.limit import Bound
from dgxcert.profile import Profile
from dgxcert.rounds import Work
from dgxcert.workloads import ceiling, models, nf4, numerics, roofline, shapes
from dgxcert.workloads.roofline import Peaks

if TYPE_CHECKING:
    import torch

SEED = 3


class Inference:
    """A model on a device with a random prompt of one row, in one precision."""

    def __init__(self, device: Device, shape: shapes.Shape, precision: str, prompt: int) -> None:
        import torch

        self.device, self.precision = device, precision
        self.compute = numerics.compute_precision(precision, device.kind)
        self.model = models.build(device, shape, precision)
        generator = torch.Generator("cpu").manual_seed(SEED)
        self.prompt = torch.randint(0, shape.vocabulary, (1, prompt), generator=generator).to(device.name)

    def forward(self, ids: "torch.Tensor", **options: Any) -> Any:
        """One forward pass without gradients."""
        import torch

        with torch.inference_mode():
            return self.model(input_ids=ids, **options)

    def verify_weights(self, evidence: Recorder) -> None:
        """Hold a sample of 4-bit layers against fp64 on what their weights mean; raises Wrong."""
        if self.precision != "int4":
            return
        error = nf4.error(self.model, self.device, self.compute)
        source = "NF4 layers against fp64 on their dequantised weights, the worst of the first, a middle and the last"
        found = evidence.record("int4 product error", error, unit="relative", source=source)
        evidence.require(found.within(numerics.product_tolerance("int4")))

    def verify_logits(
        self, evidence: Recorder, found: "torch.Tensor", reference: "torch.Tensor", chosen: "torch.Tensor", how: str
    ) -> None:
        """Hold logits (positions x vocabulary) and the tokens chosen from them against another way; raises Wrong.

        A chosen token counts as the reference's where the reference rates none higher by more than rounding explains.
        """
        finite = bool(found.isfinite().all()) and bool(reference.isfinite().all())
        sound = evidence.record("logits are finite", finite, source="all of the last timed round")
        evidence.require(sound.holds())
        reference = reference.float()
        std = float(reference.std())
        difference = float((found.float() - reference).square().mean().sqrt()) / std
        margin = reference.max(-1).values - reference.gather(-1, chosen[:, None])[:, 0]
        limit = numerics.path_tolerance(self.precision)
        for name, value in (
            ("logits differ by", difference),
            ("chosen tokens fall short by", float(margin.max()) / std),
        ):
            evidence.require(evidence.record(name, value, unit="std of logits", source=how).within(limit))


class Prefill(Inference):
    """One round reads the whole prompt, fills the cache and yields the first token's logits."""

    def __init__(self, device: Device, shape: shapes.Shape, precision: str, prompt: int, profile: Profile) -> None:
        super().__init__(device, shape, precision, prompt)
        cost = roofline.prefill(shape, precision, self.compute, prompt)
        self.work = _work(device, profile, self.compute, float(prompt), cost)
        self._logits: torch.Tensor | None = None

    def run(self) -> None:
        """One round; returns when the device is done."""
        self._logits = self.forward(self.prompt, use_cache=True, logits_to_keep=1).logits
        self.device.wait()

    def verify(self, evidence: Recorder) -> None:
        """Hold the last round's logits against plain attention without a cache; raises Wrong."""
        self.verify_weights(evidence)
        if self._logits is None:
            raise RuntimeError("verify() comes after run()")
        usual = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            reference = self.forward(self.prompt, use_cache=False, logits_to_keep=1).logits[0]
        finally:
            self.model.set_attn_implementation(usual)
        found = self._logits[0]
        how = f"{usual} attention with cache, against eager attention without"
        self.verify_logits(evidence, found, reference, found.argmax(-1), how)


class Decode(Inference):
    """One round writes `new_tokens` tokens greedily after a prompt that `fill_cache` read."""

    def __init__(
        self, device: Device, shape: shapes.Shape, precision: str, prompt: int, new_tokens: int, profile: Profile
    ) -> None:
        super().__init__(device, shape, precision, prompt)
        self.new_tokens = new_tokens
        cost = roofline.decode(shape, precision, self.compute, prompt)
        self.work = _work(device, profile, self.compute, 1.0, cost, times=new_tokens)
        self._cache: Any = None
        self._tokens: list[torch.Tensor] = []
        self._logits: list[torch.Tensor] = []

    def fill_cache(self) -> None:
        """Read the prompt up to its last token; pytest-benchmark calls this before each round, untimed."""
        self._tokens, self._logits = [], []
        self._cache = self.forward(self.prompt[:, :-1], use_cache=True, logits_to_keep=1).past_key_values
        self.device.wait()

    def run(self) -> None:
        """One round; returns when the device is done."""
        import torch

        token = self.prompt[:, -1:]
        with torch.inference_mode():
            for _ in range(self.new_tokens):
                logits = self.model(token, past_key_values=self._cache, use_cache=True, logits_to_keep=1).logits[:, -1]
                token = logits.argmax(-1, keepdim=True)
                self._logits.append(logits)
                self._tokens.append(token)
        self.device.wait()

    def verify(self, evidence: Recorder) -> None:
        """Hold the last round's tokens against one forward pass over all of them without a cache; raises Wrong."""
        import torch

        self.verify_weights(evidence)
        count = evidence.record("tokens written", len(self._tokens), unit="token", source="the last timed round")
        evidence.require(count == self.new_tokens)
        written = torch.cat(self._tokens, 1)
        whole = torch.cat([self.prompt, written], 1)[:, :-1]
        reference = self.forward(whole, use_cache=False, logits_to_keep=self.new_tokens).logits[0]
        how = "one token at a time through the cache, against one pass over all tokens without it"
        self.verify_logits(evidence, torch.cat(self._logits), reference, written[0], how)


def _work(device: Device, profile: Profile, compute: str, tokens: float, cost: roofline.Cost, times: int = 1) -> Work:
    bounds: list[Bound] = [
        cost.bound(tokens, "token/s", peaks)
        for peaks in (Peaks.of(profile, compute), ceiling.peaks(device, profile, compute))
    ]
    return Work(device, tokens * times, roofline=bounds[0], ceiling=bounds[1])


def prepare_prefill(device: Device, profile: Profile, precision: str) -> Prefill:
    """The prefill that a profile asks for."""
    sizes = profile.workloads.prefill
    return Prefill(device, shapes.find(sizes.model), precision, sizes.prompt, profile)


def prepare_decode(device: Device, profile: Profile, precision: str) -> Decode:
    """The decode that a profile asks for."""
    sizes = profile.workloads.decode
    return Decode(device, shapes.find(sizes.model), precision, sizes.prompt, sizes.new_tokens, profile)
