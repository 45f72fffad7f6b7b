"""Distillation: a student with half its teacher's layers is faster, and learns from the teacher's probabilities."""

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.workload_sizes import Distillation
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.models import encoders

if TYPE_CHECKING:
    import torch

VOCABULARY = 4096
LABELS = 8
TEMPERATURE = 2.0
LEARNING_RATE_BY_WIDTH = 0.0768
"""AdamW moves each weight by the rate: 1e-4 at BERT's width of 768, and more where fewer weights add up."""
STEP_ROWS = 8
"""Rows of that step at the most: a few are enough, and all of them would take gigabytes of activations."""
SPREAD = 3.0
"""Standard deviation of a teacher's logits."""
NEEDS_BYTES = 4 * allocation.GIB
"""On a GPU: both models in 32 bits, the student's gradients and moments, activations of some thousand tokens."""
OF_TEACHER = "of teacher's speed"
OF_LOSS_BEFORE = "of loss before"

FASTER = Limit(
    name="speed of a student with half the layers",
    min=1.2,
    unit=OF_TEACHER,
    source="half the layers are half the work, whatever limits it: 1.9 to 2.1 measured; embeddings and noise take less "
    "than the rest",
)
LOSS_FALLS = Limit(
    name="distillation loss after one step",
    max=0.99,
    unit=OF_LOSS_BEFORE,
    source="one step of AdamW from random weights takes away 3 % of a tiny student's loss and 60 % of a DistilBERT's; "
    "an optimizer that does not step leaves it as it was",
)


@dataclass(frozen=True)
class Speeds:
    """How many times as fast as the teacher the student was, in each round, one right after the other."""

    ratios: tuple[float, ...]
    teacher_s: float
    student_s: float

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)

    def require_agreement(self) -> None:
        """Raise Inconclusive where the limit lies between the quartiles: the rounds do not agree on the answer."""
        first, _, third = statistics.quantiles(self.ratios, n=4)
        if first < (FASTER.min or 0.0) <= third:
            raise Inconclusive(
                f"the rounds do not agree: the middle half of {len(self.ratios)} ratios goes from {first:.2f} to "
                f"{third:.2f}",
                "End other work on this machine, then run it again.",
            )


@dataclass(frozen=True)
class Step:
    """The loss before and after one step, and how many of the teacher's weights got a gradient."""

    before: float
    after: float
    teacher_gradients: int


def speeds(device: Device, sizes: Distillation) -> Speeds:
    """Time both on the same rows, turn by turn, in what models are run in on that kind of device."""
    import torch

    teacher, student = models(device, sizes)
    kind = numerics.dtype("bf16" if device.kind == "cuda" else "fp32")
    teacher, student, ids = teacher.to(kind), student.to(kind), rows(device, sizes)
    with torch.inference_mode():
        for each in (teacher, student) * 2:
            _seconds(device, each, ids)  # kernels are chosen and memory is taken at first use
        pairs = [(_seconds(device, teacher, ids), _seconds(device, student, ids)) for _ in range(sizes.rounds)]
    times = [statistics.median(each) for each in zip(*pairs, strict=True)]
    return Speeds(tuple(slow / fast for slow, fast in pairs), *times)


def step(device: Device, sizes: Distillation) -> Step:
    """One step of AdamW on the student by what the teacher says of the same rows; dropout is off."""
    import torch

    teacher, student = models(device, sizes)
    ids = rows(device, sizes)[:STEP_ROWS]
    with torch.no_grad():
        wanted = opinion(teacher(input_ids=ids).logits)
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE_BY_WIDTH / sizes.hidden)
    before = loss(student(input_ids=ids).logits, wanted)
    before.backward()
    optimizer.step()
    with torch.no_grad():
        after = loss(student(input_ids=ids).logits, wanted)
    gradients = sum(each.grad is not None for each in teacher.parameters())
    return Step(float(before.detach()), float(after), gradients)


def loss(student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
    """T^2 KL(teacher || student) of softened probabilities, averaged over rows (Hinton et al., 2015).

    Both arguments are logits of shape (batch, labels).
    """
    from torch.nn.functional import kl_div, log_softmax, softmax

    said = log_softmax(student / TEMPERATURE, dim=-1)
    return kl_div(said, softmax(teacher / TEMPERATURE, dim=-1), reduction="batchmean") * TEMPERATURE**2


def opinion(logits: "torch.Tensor") -> "torch.Tensor":
    """Logits of random weights, spread as those of a trained teacher are: all labels alike would teach nothing."""
    return (logits - logits.mean(-1, keepdim=True)) / logits.std(-1, keepdim=True) * SPREAD


def models(device: Device, sizes: Distillation) -> tuple[Any, Any]:
    """A BERT and a DistilBERT that classify, of the same widths; raises Inconclusive where memory is short."""
    if device.kind == "cuda":
        allocation.require(device, NEEDS_BYTES, "a teacher and its student")
    widths = {"hidden": sizes.hidden, "heads": sizes.heads, "intermediate": sizes.intermediate, "num_labels": LABELS}
    teacher = encoders.bert(VOCABULARY, sizes.teacher_layers, **widths)
    student = encoders.distilbert(VOCABULARY, sizes.student_layers, **widths)
    return (
        encoders.build(device, "BertForSequenceClassification", teacher),
        encoders.build(device, "DistilBertForSequenceClassification", student),
    )


def rows(device: Device, sizes: Distillation) -> "torch.Tensor":
    """Random token ids of shape (batch, length)."""
    import torch

    generator = torch.Generator("cpu").manual_seed(sizes.length)
    return torch.randint(VOCABULARY, (sizes.batch, sizes.length), generator=generator).to(device.name)


def _seconds(device: Device, model: Any, ids: "torch.Tensor") -> float:
    device.wait()
    began = time.perf_counter()
    model(input_ids=ids)
    device.wait()
    return time.perf_counter() - began
