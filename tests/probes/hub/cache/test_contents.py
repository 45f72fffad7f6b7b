"""Contents: a file is verified by the hash that the client has kept of it, in every layout of its caches."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from dgxcert.probes.hub.cache import contents, hashes

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIT_SHA1 = hashlib.sha1(b"blob 7\0weights").hexdigest()
XET_HASH = "55c53b62ef4a4c529b095004a95ff35c8891b269b554351c94631388483e89b6"
REVISION = "7" * 40


def repository(cache: Path, etag: str = SHA256, content: bytes = CONTENT) -> Path:
    """A repository with one file, as huggingface_hub stores it; its folder."""
    folder = cache / "models--org--name"
    snapshot = folder / "snapshots" / REVISION / "sub"
    snapshot.mkdir(parents=True)
    (folder / "blobs").mkdir()
    (folder / "blobs" / etag).write_bytes(content)
    (snapshot / "model.bin").symlink_to(Path("../../../blobs") / etag)
    return folder


def states(place: Path) -> list[str]:
    return [content.state for content in contents.verify(place)]


@pytest.mark.parametrize(
    ("etag", "content", "state"),
    [
        (SHA256, CONTENT, "verified"),
        (SHA256, b"weightz", "wrong"),
        (GIT_SHA1, CONTENT, "verified"),
        (GIT_SHA1, b"weightz", "wrong"),
        ('5d41402abc4b2a76b9719d911017c592-3"', CONTENT, "unverified"),
    ],
)
def test_file_is_compared_with_the_name_of_its_blob(tmp_path: Path, etag: str, content: bytes, state: str) -> None:
    assert states(repository(tmp_path, etag, content)) == [state]


@pytest.mark.parametrize(("content", "state"), [(CONTENT, "verified"), (b"weightz", "wrong")])
def test_blob_that_the_whole_cache_shares_is_not_compared_with_its_xet_hash(
    tmp_path: Path, content: bytes, state: str
) -> None:
    folder = repository(tmp_path)
    (folder / "blobs" / SHA256).unlink()
    shared = tmp_path / "blobs" / XET_HASH[:2] / XET_HASH
    shared.parent.mkdir(parents=True)
    shared.write_bytes(content)
    (folder / "blobs" / SHA256).symlink_to(Path("../../blobs") / XET_HASH[:2] / XET_HASH)
    assert states(folder) == [state]


def without_links(tmp_path: Path, content: bytes = CONTENT) -> Path:
    """A copy of a repository as `rsync -L` makes it: with files in place of the links, and no blobs."""
    folder = repository(tmp_path / "a", content=content)
    shutil.copytree(folder / "snapshots", tmp_path / "b" / folder.name / "snapshots")
    return tmp_path / "b" / folder.name


def test_copy_without_links_holds_no_hash(tmp_path: Path) -> None:
    copy = without_links(tmp_path)
    assert states(copy) == ["unverified"]
    assert "the cache holds no hash of it" in contents.verify(copy)[0].detail


@pytest.mark.parametrize(("content", "state"), [(CONTENT, "verified"), (b"weightz", "unverified")])
def test_file_without_a_link_is_known_by_its_lock(tmp_path: Path, content: bytes, state: str) -> None:
    """A lock names some file of the repository: it proves what matches, and nothing of what does not."""
    copy = without_links(tmp_path, content)
    lock = copy.parent / ".locks" / copy.name / f"{SHA256}.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("")
    assert states(copy) == [state]


@pytest.mark.parametrize(("content", "state"), [(CONTENT, "verified"), (b"weightz", "wrong")])
def test_file_without_a_link_is_compared_with_the_listing_of_its_revision(
    tmp_path: Path, content: bytes, state: str
) -> None:
    copy = without_links(tmp_path, content)
    (copy / "trees").mkdir()
    entry = {"size": 7, "blob_id": GIT_SHA1, "lfs_sha256": SHA256, "lfs_size": 7, "xet_hash": XET_HASH}
    listing = {"format_version": 1, "files": {"sub/model.bin": entry}}
    (copy / "trees" / f"{REVISION}.json").write_text(json.dumps(listing))
    assert states(copy) == [state]
    (copy / "trees" / f"{REVISION}.json").write_text('{"files": [3]}')
    assert states(copy) == ["unverified"]


@pytest.mark.parametrize(("content", "state"), [(CONTENT, "verified"), (b"weightz", "wrong")])
def test_local_download_is_compared_with_its_metadata(tmp_path: Path, content: bytes, state: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    metadata = tmp_path / ".cache" / "huggingface" / "download" / "config.json.metadata"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"{REVISION}\n{GIT_SHA1}\n1712656091.123\n")
    assert states(tmp_path) == [state]
    assert ("the metadata of its download" in contents.verify(tmp_path)[0].detail) is True


def test_link_that_leads_nowhere_and_unfinished_parts_are_named(tmp_path: Path) -> None:
    folder = repository(tmp_path)
    (folder / "blobs" / SHA256).rename(folder / "blobs" / f"{SHA256}.1a2b3c4d.incomplete")
    files = contents.verify(folder)
    assert [file.state for file in files] == ["missing", "partial"]
    assert files[0].is_wrong
    assert not files[1].is_wrong
    assert files[0].detail == "its link leads nowhere"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert hashes.etag(tmp_path, "a") == hashes.Etag()
    assert contents.verify_file(tmp_path, "a").state == "unreadable"


def test_real_client_names_its_blobs_as_we_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the installed client's own program, downloaded from a Hub on loopback, with and without links."""
    pytest.importorskip("huggingface_hub", reason="needs the stack: make setup")
    import os
    import subprocess
    import sys

    from simulated.loopback_hub import LoopbackHub

    program = (
        "import sys; from huggingface_hub import hf_hub_download as get; r = 'hf-internal-testing/tiny-random-gpt2';"
        "[get(r, f) for f in ('config.json', 'model.safetensors')];"
        "[get(r, f, local_dir=sys.argv[1]) for f in ('config.json', 'model.safetensors')]"
    )
    with LoopbackHub("healthy") as hub:
        bundle = str(hub.authority.bundle)
        for disabled in ("0", "1"):
            home = tmp_path / disabled
            environment = {
                "PATH": os.environ["PATH"], "HF_HOME": str(home), "HF_ENDPOINT": hub.endpoint, "HOME": str(home),
                "SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle, "HF_HUB_DISABLE_SYMLINKS": disabled,
            }  # fmt: skip
            args = [sys.executable, "-c", program, str(home / "local")]
            subprocess.run(args, env=environment, check=True, capture_output=True, timeout=60)
            place = home / "hub" / "models--hf-internal-testing--tiny-random-gpt2"
            assert states(place) == ["verified", "verified"]
            assert states(home / "local") == ["verified", "verified"]
