"""Real checkpoints: a failed download and other files than the pinned are inconclusive, and leak no token."""

from pathlib import Path

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import model_cache
from dgxcert.probes.hub.model_cache import CachedCheckpoint, CachedFile
from dgxcert.profiles.checkpoints import KNOWN, Checkpoint
from dgxcert.workloads.models import checkpoint

GPT2 = KNOWN["gpt2"]


def test_checkpoint_that_cannot_be_fetched_is_inconclusive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="needs the stack: make setup")

    def refuse(*_: object, **__: object) -> str:
        raise OSError(f"https://cdn/x?Signature=abc with hf_{'a' * 34}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(Inconclusive, match="could not be downloaded: OSError") as raised:
        checkpoint.fetched("gpt2")
    assert "Signature" not in raised.value.problem
    assert "hf_aaa" not in raised.value.problem
    assert any("hf download gpt2" in step for step in raised.value.remedy)


def test_answer_of_other_files_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = CachedCheckpoint(GPT2, (CachedFile("model.safetensors", "wrong", "has SHA-256 abc"),))
    monkeypatch.setattr(checkpoint, "fetched", lambda repo: wrong)
    with pytest.raises(Inconclusive, match=r"prove nothing: gpt2 at 607a30d783df: model.safetensors has SHA-256 abc"):
        checkpoint.answer("gpt2", Device("cpu", 0, "CPU"))


def test_every_pinned_file_is_downloaded_at_its_revision_before_it_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="needs the stack: make setup")
    downloads: list[tuple[str, str, str]] = []

    def download(repo: str, name: str, *, revision: str) -> str:
        downloads.append((repo, name, revision))
        return name

    def verify(pinned: Checkpoint) -> CachedCheckpoint:
        assert len(downloads) == len(pinned.files)
        return CachedCheckpoint(pinned, ())

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(model_cache, "verify", verify)
    assert checkpoint.fetched("gpt2").checkpoint == GPT2
    assert downloads == [("gpt2", name, GPT2.revision) for name in GPT2.files]
