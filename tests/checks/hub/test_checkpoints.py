"""Real checkpoints: only verified files and only the known tokens pass."""

import hashlib
import shutil
from pathlib import Path

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.probes.hub.model_cache import CachedCheckpoint, CachedFile
from dgxcert.profiles.checkpoints import KNOWN, Answer, Checkpoint, Pinned
from dgxcert.workloads.models import checkpoint
from dgxcert.workloads.models.checkpoint import Generation

CHECKS = check_file.load("hub/test_checkpoints")
GPT2 = KNOWN["gpt2"]


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


@pytest.mark.parametrize("state", ["verified", "wrong", "missing", "unreadable"])
def test_only_verified_files_pass(monkeypatch: pytest.MonkeyPatch, evidence: Recorder, state: str) -> None:
    cached = CachedCheckpoint(
        GPT2, (CachedFile("config.json", "verified", "665 bytes"), CachedFile("model.safetensors", state, "seen"))
    )
    monkeypatch.setattr(checkpoint, "fetched", lambda repo: cached)
    if state == "verified":
        CHECKS.test_files_of_a_real_checkpoint_are_as_pinned("gpt2", evidence)
        assert evidence.compared
        return
    with pytest.raises(AssertionError):
        CHECKS.test_files_of_a_real_checkpoint_are_as_pinned("gpt2", evidence)
    assert "model.safetensors seen" in evidence.violated[0][0].source


@pytest.mark.parametrize(("tokens", "known"), [("464 3290 373", True), ("464 3290 374", False)])
def test_only_the_known_tokens_pass(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, tokens: str, known: bool
) -> None:
    monkeypatch.setattr(checkpoint, "answer", lambda repo, device: Generation(tokens, "464 3290 373", "greedy"))
    test = CHECKS.test_a_real_checkpoint_generates_the_known_tokens
    if known:
        test("gpt2", Device("cpu", 0, "CPU"), evidence)
        assert evidence.compared
        return
    with pytest.raises(AssertionError):
        test("gpt2", Device("cpu", 0, "CPU"), evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["tokens"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("one_thread")
def test_checkpoint_in_the_cache_is_verified_and_generates_its_tokens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, evidence: Recorder
) -> None:
    torch = pytest.importorskip("torch", reason="needs the stack: make setup")
    transformers = pytest.importorskip("transformers", reason="needs the stack: make setup")
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--tiny" / "snapshots" / ("0" * 40)
    torch.manual_seed(3)
    config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=4096, n_positions=32)
    model = transformers.GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder)
    shutil.copy(Path(checkpoint.__file__).parent / "data" / "tokenizer.json", folder)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    tokens = tokenizer("the dog").input_ids
    prompt = len(tokens)
    with torch.no_grad():
        while len(tokens) < prompt + 6:
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    names = ("config.json", "tokenizer.json", "model.safetensors")
    files = {name: Pinned(sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in names}
    known = Answer(prompt="the dog", tokens=tuple(tokens), source="greedy decoding by this test")
    tiny = Checkpoint(repo="tiny", revision="0" * 40, purpose="a test", files=files, answer=known)
    monkeypatch.setitem(KNOWN, "tiny", tiny)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: "")
    CHECKS.test_files_of_a_real_checkpoint_are_as_pinned("tiny", evidence)
    CHECKS.test_a_real_checkpoint_generates_the_known_tokens("tiny", Device("cpu", 0, "CPU"), evidence)
    assert not evidence.violated
    damaged = bytearray((folder / "model.safetensors").read_bytes())
    damaged[-1] ^= 1
    (folder / "model.safetensors").write_bytes(damaged)
    with pytest.raises(AssertionError):
        CHECKS.test_files_of_a_real_checkpoint_are_as_pinned("tiny", evidence)
