"""Download: errors of huggingface_hub have their causes, and a file is compared by the hash that the Hub gives."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from dgxcert.probes.hub import download
from dgxcert.probes.hub.causes import CAUSES
from dgxcert.probes.hub.context import ProbedFile

pytestmark = pytest.mark.usefixtures("plain_hub_environment")


class HfHubHTTPError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"{status} Error")
        self.response = type("Response", (), {"status_code": status})()


class RepositoryNotFoundError(HfHubHTTPError): ...


class GatedRepoError(RepositoryNotFoundError): ...


class EntryNotFoundError(Exception): ...


class LocalEntryNotFoundError(EntryNotFoundError): ...


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (GatedRepoError(403), "gated"),
        (RepositoryNotFoundError(401), "not-found"),
        (LocalEntryNotFoundError("not in the cache"), "client"),
        (EntryNotFoundError("no such file"), "not-found"),
        (HfHubHTTPError(401), "bad-token"),
        (HfHubHTTPError(429), "rate-limited"),
        (HfHubHTTPError(502), "server-error"),
        (HfHubHTTPError(418), "client"),
        (caused(LocalEntryNotFoundError("not in the cache"), HfHubHTTPError(429)), "rate-limited"),
        (caused(RuntimeError("no"), HfHubHTTPError(500)), "server-error"),
        (RuntimeError("Task error: File reconstruction error"), "client"),
    ],
)
def test_cause_follows_from_the_class_or_the_http_status(error: Exception, cause: str) -> None:
    assert download.cause_of(error) == cause


def test_classes_are_those_of_the_installed_client() -> None:
    errors = pytest.importorskip("huggingface_hub.errors", reason="needs the stack: make setup")
    for name, _ in download.CAUSE_BY_ERROR:
        assert hasattr(errors, name), name


def test_description_holds_the_first_line_of_each_cause() -> None:
    error = caused(RuntimeError("no file\nsecond line"), OSError("reset"))
    assert download.describe(error) == "RuntimeError: no file < OSError: reset"


def test_hashes_are_sha256_or_gits_or_plain_sha1_by_the_length_of_the_etag(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello\n")
    (sha256,) = download.hashes_like(tmp_path / "f", "0" * 64)
    assert sha256.startswith("5891b5b522d5df086d0ff0b110fbd9d2")
    git, plain = download.hashes_like(tmp_path / "f", "0" * 40)
    assert (git, plain) == ("ce013625030ba8dba906f756967f9e9ca394464a", "f572d396fae9206628714fb2ce00f72e94f2258f")
    assert download.hashes_like(tmp_path / "f", "0" * 32) == ()  # MD5, which some mirrors send


@pytest.mark.parametrize(
    ("etag", "state", "cause"),
    [
        ("v7-12ab", "failed", "no-hash"),
        ("", "failed", "no-hash"),
        ("0" * 64, "failed", "wrong-bytes"),
        (hashlib.sha256(b"123456789").hexdigest(), "ok", ""),
    ],
)
def test_content_that_no_hash_vouches_for_is_never_as_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etag: str, state: str, cause: str
) -> None:
    import huggingface_hub

    (tmp_path / "file").write_bytes(b"123456789")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda _: SimpleNamespace(etag=etag))
    result = download._compare(ProbedFile("tiny", "0" * 40, "model.safetensors", 9), tmp_path / "file", [])
    assert (result["state"], result["cause"]) == (state, cause)
    assert cause != "no-hash" or not CAUSES["no-hash"].fails, "inconclusive: nothing wrong was measured"


@pytest.mark.parametrize("etag", ["v7-12ab", hashlib.sha256(b"other  !!").hexdigest(), "0" * 64])
def test_other_bytes_than_the_pinned_ones_are_wrong_whatever_the_endpoint_says_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    import huggingface_hub

    (tmp_path / "file").write_bytes(b"other  !!")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda _: SimpleNamespace(etag=etag))
    pins = tuple(hashlib.sha256(content).hexdigest() for content in (b"123456789", b"stand-in!"))
    probed = ProbedFile.from_arguments(ProbedFile("tiny", "0" * 40, "model.safetensors", 9, pins).arguments)
    result = download._compare(probed, tmp_path / "file", [])
    assert (result["state"], result["cause"]) == ("failed", "wrong-bytes")
    assert f"pinned is {pins[0]}" in str(result["detail"])
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda _: SimpleNamespace(etag=pins[1]))
    (tmp_path / "file").write_bytes(b"stand-in!")
    assert download._compare(probed, tmp_path / "file", [])["state"] == "ok"
