"""Distillation: the speed of a student with half its teacher's layers, and one step towards its probabilities."""

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
from dgxcert.workloads.training import exact_gradients, gradients
from dgxcert.workloads.training.gradients import Agreement

if TYPE_CHECKING:
    import torch

VOCABULARY = 4096
LABELS = 8
TEMPERATURE = 2.0
LEARNING_RATE_BY_WIDTH = 0.0768
"""Learning rate times width. AdamW's first step moves each weight by the rate: 1e-4 at BERT's width of 768, and more
where fewer weights add up."""
STEP_ROWS = 8
"""Rows of the training step at the most: all of a batch would take gigabytes of activations."""
SPREAD = 3.0
"""Standard deviation of a teacher's logits."""
NEEDS_BYTES = 4 * allocation.GIB
"""On a GPU: both models in fp32, the student's gradients and Adam moments, activations of some thousand tokens."""
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
    """The times of both models."""

    ratios: tuple[float, ...]
    """Teacher's time over student's time, of each round."""
    teacher_s: float
    """Median seconds of a forward pass."""
    student_s: float

    @property
    def ratio(self) -> float:
        """The median ratio: how many times as fast as the teacher the student is.

        >>> Speeds(ratios=(1.9, 2.0, 2.2), teacher_s=0.2, student_s=0.1).ratio
        2.0
        """
        return statistics.median(self.ratios)

    def require_agreement(self) -> None:
        """Raise Inconclusive where the limit is between the quartiles of the ratios."""
        first, _, third = statistics.quantiles(self.ratios, n=4)
        if first < (FASTER.min or 0.0) <= third:
            raise Inconclusive(
                f"the rounds do not agree: the middle half of {len(self.ratios)} ratios goes from {first:.2f} to "
                f"{third:.2f}",
                "End other work on this machine, then run it again.",
            )


@dataclass(frozen=True)
class Step:
    """One training step of the student."""

    before: float
    after: float
    """Distillation loss of the same rows."""
    teacher_gradients: int
    """Teacher's parameters that got a gradient."""
    student_gradients: Agreement
    """How the student's gradients agree with exact ones."""


def speeds(device: Device, sizes: Distillation) -> Speeds:
    """Time both models on the same rows, alternating, so that a change of clock hits both; bf16 on a GPU, else fp32.

    Raises what `models` raises.
    """
    import torch

    teacher, student = models(device, sizes)
    dtype = numerics.dtype("bf16" if device.kind == "cuda" else "fp32")
    teacher, student, ids = teacher.to(dtype), student.to(dtype), random_ids(device, sizes)
    with torch.inference_mode():
        for model in (teacher, student) * 2:
            _forward_s(device, model, ids)  # kernels are chosen and memory is allocated at first use
        pairs = [(_forward_s(device, teacher, ids), _forward_s(device, student, ids)) for _ in range(sizes.rounds)]
    teacher_s, student_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Speeds(tuple(slow / fast for slow, fast in pairs), teacher_s, student_s)


def step(device: Device, sizes: Distillation) -> Step:
    """Take one step of AdamW on the student with the teacher's logits as target, without dropout, in fp32.

    Raises what `models` raises.
    """
    import torch

    teacher, student = models(device, sizes)
    ids = random_ids(device, sizes)[:STEP_ROWS]
    with torch.no_grad():
        target = standardised(teacher(input_ids=ids).logits)
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE_BY_WIDTH / sizes.hidden)
    before = loss(student(input_ids=ids).logits, target)
    before.backward()
    exact = exact_gradients.of_student(student, list(ids), target, TEMPERATURE)
    agreement = gradients.compare(gradients.kept(dict(student.named_parameters())), exact)
    optimizer.step()
    with torch.no_grad():
        after = loss(student(input_ids=ids).logits, target)
    of_teacher = sum(parameter.grad is not None for parameter in teacher.parameters())
    return Step(float(before.detach()), float(after), of_teacher, agreement)


def loss(student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
    """T^2 KL(teacher || student) of softened probabilities, averaged over rows (Hinton et al., 2015).

    Both arguments are logits of shape (batch, labels).

    >>> import torch
    >>> logits = torch.tensor([[2.0, 0.0]])
    >>> float(loss(logits, logits)), round(float(loss(logits, -logits)), 4)
    (0.0, 1.8485)
    """
    from torch.nn.functional import kl_div, log_softmax, softmax

    log_probabilities = log_softmax(student / TEMPERATURE, dim=-1)
    target = softmax(teacher / TEMPERATURE, dim=-1)
    return kl_div(log_probabilities, target, reduction="batchmean") * TEMPERATURE**2


def standardised(logits: "torch.Tensor") -> "torch.Tensor":
    """Logits (batch, labels) with mean 0 and deviation SPREAD per row, as a trained teacher's have.

    Those of random weights are nearly equal, and a uniform target teaches nothing.
    """
    return (logits - logits.mean(-1, keepdim=True)) / logits.std(-1, keepdim=True) * SPREAD


def models(device: Device, sizes: Distillation) -> tuple[Any, Any]:
    """Teacher and student: a BERT and a DistilBERT classifier of the same widths, with random weights in fp32.

    Raises Inconclusive where memory is short.
    """
    if device.kind == "cuda":
        allocation.require(device, NEEDS_BYTES, "a teacher and its student")
    widths = {"hidden": sizes.hidden, "heads": sizes.heads, "intermediate": sizes.intermediate, "num_labels": LABELS}
    teacher = encoders.bert(VOCABULARY, sizes.teacher_layers, **widths)
    student = encoders.distilbert(VOCABULARY, sizes.student_layers, **widths)
    return (
        encoders.build(device, "BertForSequenceClassification", teacher),
        encoders.build(device, "DistilBertForSequenceClassification", student),
    )


def random_ids(device: Device, sizes: Distillation) -> "torch.Tensor":
    """Random token ids of shape (batch, length)."""
    import torch

    generator = torch.Generator("cpu").manual_seed(sizes.length)
    return torch.randint(VOCABULARY, (sizes.batch, sizes.length), generator=generator).to(device.name)


def _forward_s(device: Device, model: Any, ids: "torch.Tensor") -> float:
    """Seconds of one forward pass, until the device is done."""
    device.wait()
    began = time.perf_counter()
    model(input_ids=ids)
    device.wait()
    return time.perf_counter() - began
