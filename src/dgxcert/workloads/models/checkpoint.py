"""Real checkpoints from the Hub: downloaded at their pinned revisions, verified, and run on a fixed prompt."""

from dataclasses import dataclass

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import download, model_cache
from dgxcert.probes.hub.model_cache import CachedCheckpoint
from dgxcert.profiles.checkpoints import KNOWN, PROBED

PINNED = tuple(repo for repo in KNOWN if repo != PROBED.repo)
"""Names on the Hub of the pinned checkpoints, without the one by which the Hub is probed."""
ANSWERING = tuple(repo for repo in PINNED if KNOWN[repo].answer)
"""Names of those whose tokens for a fixed prompt are known."""


@dataclass(frozen=True)
class Generation:
    """Generated and known tokens, as ids separated by spaces, and how they were obtained."""

    tokens: str
    known: str
    source: str


def fetched(repo: str) -> CachedCheckpoint:
    """Download a checkpoint into the user's cache, file by file, and verify the files.

    Raises Inconclusive where the download fails, which is no fault of a file.
    """
    import huggingface_hub

    checkpoint = KNOWN[repo]
    for name in checkpoint.files:
        try:
            huggingface_hub.hf_hub_download(repo, name, revision=checkpoint.revision)
        except Exception as error:  # whatever the client raises, the file was not downloaded
            problem = download.describe(error)
            raise Inconclusive(
                f"{repo} {name} could not be downloaded: {problem}",
                "Find the step to the Hub that fails: make hub",
                f"Download it by hand after that: {checkpoint.fetch}",
            ) from error
    return model_cache.verify(checkpoint)


def answer(repo: str, device: Device) -> Generation:
    """Greedy decoding of the fixed prompt in fp32; raises Inconclusive where the files are not as pinned."""
    cached, known = fetched(repo), KNOWN[repo].answer
    if known is None or not cached.complete:
        raise Inconclusive(f"the tokens of {repo} prove nothing: {cached.summary}", "See CHECKPOINT-FILES first.")
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    folder = model_cache.snapshot(cached.checkpoint)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(device.name)
    inputs = tokenizer(known.prompt, return_tensors="pt").to(device.name)
    with torch.no_grad():
        tokens = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=False,
            max_length=len(known.tokens),
            pad_token_id=known.tokens[-1],
        )[0].tolist()
    source = f"{repo} at {cached.checkpoint.revision[:12]}, greedy, fp32 on {device.name}: {tokenizer.decode(tokens)!r}"
    generated, expected = (" ".join(map(str, ids)) for ids in (tokens, known.tokens))
    return Generation(generated, expected, f"{source}; known from {known.source}")
