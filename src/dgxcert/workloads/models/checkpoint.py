"""A real checkpoint from the Hub: fetched at its pinned revision, its files verified, and asked a fixed question."""

from dataclasses import dataclass

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import download, model_cache
from dgxcert.probes.hub.model_cache import CachedCheckpoint
from dgxcert.profiles.checkpoints import KNOWN, PROBED

PINNED = tuple(repo for repo in KNOWN if repo != PROBED.repo)
"""Checkpoints that models are made of, by their names on the Hub."""
ANSWERING = tuple(repo for repo in PINNED if KNOWN[repo].answer)
"""Those of which it is known what they say."""


@dataclass(frozen=True)
class Said:
    """What a model said and what it is known to say, as token numbers in a line."""

    said: str
    known: str
    how: str


def fetched(repo: str) -> CachedCheckpoint:
    """Bring a checkpoint into the user's cache, file by file, and verify what lies there.

    Raises Inconclusive where it cannot be fetched: that says nothing about a file.
    """
    import huggingface_hub

    checkpoint = KNOWN[repo]
    for name in checkpoint.files:
        try:
            huggingface_hub.hf_hub_download(repo, name, revision=checkpoint.revision)
        except Exception as error:  # every error of the client means the same here: not fetched
            words = download.describe(error)
            raise Inconclusive(
                f"{repo} {name} could not be fetched: {words}",
                "Look which step of the way to the Hub fails: python -m dgxcert.probes.hub",
                f"Then fetch it by hand: {checkpoint.fetch}",
            ) from error
    return model_cache.verify(checkpoint)


def answer(repo: str, device: Device) -> Said:
    """Greedy decoding of the fixed prompt in 32 bits. Raises Inconclusive where the files are not as pinned."""
    kept, known = fetched(repo), KNOWN[repo].answer
    if known is None or not kept.complete:
        raise Inconclusive(f"what {repo} says means nothing: {kept.summary}", "See CHECKPOINT-FILES first.")
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    folder = model_cache.snapshot(kept.checkpoint)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(device.name)
    inputs = tokenizer(known.prompt, return_tensors="pt").to(device.name)
    with torch.no_grad():
        said = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=False,
            max_length=len(known.tokens),
            pad_token_id=known.tokens[-1],
        )[0].tolist()
    how = f"{repo} at {kept.checkpoint.revision[:12]}, greedy, fp32 on {device.name}: {tokenizer.decode(said)!r}"
    return Said(" ".join(map(str, said)), " ".join(map(str, known.tokens)), f"{how}; known from {known.source}")
