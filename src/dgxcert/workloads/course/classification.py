"""Classification: from hidden states through the head to logits, probabilities and a label, each step by hand too."""

from dataclasses import dataclass
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.models import encoders, text

LABELS = ("bandwidth", "memory", "arithmetic")
TEXTS = (
    "Every weight is read from memory once for each token.",
    "The arithmetic units spend most of their time waiting.",
    "A smaller weight means less to read.",
    "Knowing which one runs out saves a week of looking in the wrong place.",
)

SUM = Limit(
    name="tolerance of a sum of probabilities",
    max=1e-5,
    unit="",
    source=f"{len(LABELS)} probabilities of 24 bits, each rounded once: 2e-7; the rest is margin",
)


@dataclass(frozen=True)
class Classified:
    """Relative error of the model's logits against the head by hand, the farthest sum of probabilities from one,

    and how many texts got a label other than that of their largest logit from transformers' pipeline.
    """

    texts: int
    logits_error: float
    sum_error: float
    mislabelled: int


def run(device: Device) -> Classified:
    """Classify a few texts by a small DistilBERT with random weights."""
    import torch

    reader = text.tokenizer()
    reader.model_input_names = ["input_ids", "attention_mask"]  # DistilBERT knows no segments
    config = encoders.distilbert(
        len(reader),
        layers=2,
        hidden=64,
        heads=4,
        intermediate=128,
        initializer_range=encoders.SPREAD,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model = encoders.build(device, "DistilBertForSequenceClassification", config)
    inputs = reader(list(TEXTS), padding=True, return_tensors="pt").to(device.name)
    with torch.no_grad(), numerics.exact_products():
        logits = model(**inputs).logits
        hidden = model.distilbert(**inputs).last_hidden_state
        probabilities = torch.softmax(logits, dim=-1)
        named = _named(device, model, reader)
    return Classified(
        texts=len(TEXTS),
        logits_error=numerics.relative_error(logits, _head(model, hidden)),
        sum_error=float((probabilities.double().sum(-1) - 1).abs().max()),
        mislabelled=sum(LABELS[int(row.argmax())] != name for row, name in zip(logits, named, strict=True)),
    )


def _head(model: Any, hidden: Any) -> Any:
    """The head in fp64 on the CPU: the first token's state, a layer, ReLU, a layer. Shape (texts, labels)."""
    first = hidden[:, 0].double().cpu()
    before, last = model.pre_classifier, model.classifier
    inner = first @ before.weight.double().cpu().T + before.bias.double().cpu()
    return inner.clamp(min=0) @ last.weight.double().cpu().T + last.bias.double().cpu()


def _named(device: Device, model: Any, reader: Any) -> list[str]:
    """The label that a transformers pipeline gives to each text."""
    import torch
    from transformers import pipeline

    classify = pipeline("text-classification", model=model, tokenizer=reader, device=torch.device(device.name))
    return [answer["label"] for answer in classify(list(TEXTS))]
