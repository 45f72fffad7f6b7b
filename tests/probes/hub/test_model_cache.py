"""The cache of the Hub's client is verified against the list of checkpoints, file by file."""

import hashlib
from pathlib import Path

import pytest
from simulated.loopback_hub import weights

from dgxcert.probes.hub import model_cache
from dgxcert.profiles.checkpoints import KNOWN, PROBED, Pinned

GPT2 = KNOWN["gpt2"]


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def store(repo: str, name: str, content: bytes, blob: str = "") -> None:
    """Store a file as the client does: a blob named by its hash, and a link with the file's name."""
    snapshot = model_cache.snapshot(KNOWN[repo])
    snapshot.mkdir(parents=True, exist_ok=True)
    stored = snapshot.parents[1] / "blobs" / (blob or hashlib.sha256(content).hexdigest())
    stored.parent.mkdir(exist_ok=True)
    stored.write_bytes(content)
    (snapshot / name).symlink_to(stored)


def test_file_is_missing_wrong_or_verified() -> None:
    assert [file.state for file in model_cache.verify(GPT2).files] == ["missing"] * 3
    store("gpt2", "config.json", b"x" * 665)
    store("gpt2", "tokenizer.json", b"other")
    cached = model_cache.verify(GPT2)
    assert [file.state for file in cached.files] == ["wrong", "wrong", "missing"]
    assert "has SHA-256" in cached.files[0].detail
    assert not cached.complete
    assert "config.json has SHA-256" in cached.summary


@pytest.mark.parametrize(
    ("content", "blob", "state"),
    [
        (b"w" * 453864, "", "verified"),
        (b"w" * 453864, "0" * 64, "wrong"),
        (b"w" * 453864, "0" * 40, "wrong"),
        (b"w" * 453864, "an-etag-of-a-mirror", "unverified"),
        (b"w" * 453863, "", "wrong"),
    ],
)
def test_file_without_a_pinned_hash_is_compared_with_the_hubs(content: bytes, blob: str, state: str) -> None:
    unpinned = PROBED.model_copy(update={"files": {"model.safetensors": Pinned(size=453864)}})
    store(PROBED.repo, "model.safetensors", content, blob)
    assert [file.state for file in model_cache.verify(unpinned).files] == [state]


@pytest.mark.parametrize(("content", "state"), [(weights(453864), "verified"), (b"w" * 453864, "wrong")])
def test_the_standin_of_a_file_is_verified_and_no_other_bytes_of_its_size(content: bytes, state: str) -> None:
    store(PROBED.repo, "model.safetensors", content)
    assert [file.state for file in model_cache.verify(PROBED).files] == [state]


def test_file_that_cannot_be_read_is_not_called_missing() -> None:
    (model_cache.snapshot(GPT2) / "config.json").mkdir(parents=True)
    assert model_cache.verify(GPT2).files[0].state == "unreadable"


def test_models_that_the_list_does_not_pin_are_named() -> None:
    model_cache.snapshot(GPT2).mkdir(parents=True)
    (model_cache.snapshot(GPT2).parents[2] / "models--someone--else").mkdir()
    assert model_cache.unpinned(KNOWN) == ["someone/else"]
