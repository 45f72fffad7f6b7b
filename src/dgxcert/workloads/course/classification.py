"""Classification: a classifier's logits, probabilities and labels, each compared with the same step by hand."""

from dataclasses import dataclass
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.probes.stack import intruder
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
class Classification:
    """What a classifier gave for a few texts."""

    texts: int
    logits_error: float
    """Relative error of the model's logits against its head by hand."""
    sum_error: float
    """The largest difference of a text's sum of probabilities from 1."""
    mislabelled: int
    """Texts to which transformers' pipeline gave a label other than that of the largest logit."""


@intruder.named()
def run(device: Device) -> Classification:
    """Classify a few texts with a small DistilBERT of random weights, in fp32 on the device."""
    import torch

    tokenizer = text.tokenizer()
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # DistilBERT takes no token_type_ids
    config = encoders.distilbert(
        len(tokenizer),
        layers=2,
        hidden=64,
        heads=4,
        intermediate=128,
        initializer_range=encoders.SPREAD,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model = encoders.build(device, "DistilBertForSequenceClassification", config)
    inputs = tokenizer(list(TEXTS), padding=True, return_tensors="pt").to(device.name)
    with torch.no_grad(), numerics.exact_matmul():
        logits = model(**inputs).logits
        hidden = model.distilbert(**inputs).last_hidden_state
        probabilities = torch.softmax(logits, dim=-1)
        labels = _pipeline_labels(device, model, tokenizer)
    return Classification(
        texts=len(TEXTS),
        logits_error=numerics.relative_error(logits, _logits_by_hand(model, hidden)),
        sum_error=float((probabilities.double().sum(-1) - 1).abs().max()),
        mislabelled=sum(LABELS[int(row.argmax())] != label for row, label in zip(logits, labels, strict=True)),
    )


def _logits_by_hand(model: Any, hidden: Any) -> Any:
    """The head in fp64 on the CPU: linear, ReLU, linear on the first token's state. Shape (texts, labels)."""
    first = hidden[:, 0].double().cpu()
    pre_classifier, classifier = model.pre_classifier, model.classifier
    inner = first @ pre_classifier.weight.double().cpu().T + pre_classifier.bias.double().cpu()
    return inner.clamp(min=0) @ classifier.weight.double().cpu().T + classifier.bias.double().cpu()


def _pipeline_labels(device: Device, model: Any, tokenizer: Any) -> list[str]:
    """The label that transformers' pipeline gives to each text."""
    import torch
    from transformers import pipeline

    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device=torch.device(device.name))
    return [answer["label"] for answer in classify(list(TEXTS))]
