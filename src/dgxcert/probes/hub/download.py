"""One small download by the ordinary client, and whether what arrives is what the Hub holds.

Run as `python -m dgxcert.probes.hub.download FOLDER TRIES REPO REVISION FILE SIZE` in a process of its own: the client
reads its settings when it is imported, and can sit for minutes. Failures are told apart by huggingface_hub's own
errors, which are the same whatever HTTP library it asks by.
"""

import functools
import hashlib
import json
import sys
from pathlib import Path

from dgxcert.probes.hub import secrets
from dgxcert.probes.hub.context import Probed

CAUSES = (
    ("LocalEntryNotFoundError", "client"),  # "not in the cache, and the Hub not reached": before its parents below
    ("GatedRepoError", "gated"),  # a RepositoryNotFoundError too
    ("RepositoryNotFoundError", "missing"),
    ("RevisionNotFoundError", "missing"),
    ("EntryNotFoundError", "missing"),
    ("FileMetadataError", "no-metadata"),
)
"""Error of the client, by the first that fits: the cause."""
BLOCK = 1 << 16
BY_STATUS = {401: "bad-token", 407: "proxy-login", 429: "rate"}


def download(probed: Probed, folder: Path, tries: int) -> dict[str, object]:
    """Download into an empty cache, at most so many times, and compare the hash."""
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except Exception as error:  # what a broken package raises on import is the finding
        return {"state": "failed", "cause": "no-client", "found": f"import huggingface_hub: {in_words(error)}"}
    # The client keeps of a cut download only whole blocks of 10 MB: blocks are made as small as this file is.
    constants.DOWNLOAD_CHUNK_SIZE = BLOCK
    failures: list[str] = []
    for _ in range(tries):
        try:
            path = huggingface_hub.hf_hub_download(probed.repo, probed.file, revision=probed.revision, cache_dir=folder)
            return _compared(probed, Path(path), failures)
        except Exception as error:  # every error of the client is a finding, told apart below
            failures.append(in_words(error))
            cause = cause_of(error)
    return {"state": "failed", "cause": cause, "found": failures[-1]}


def _compared(probed: Probed, path: Path, failures: list[str]) -> dict[str, object]:
    import huggingface_hub

    where = huggingface_hub.hf_hub_url(probed.repo, probed.file, revision=probed.revision)
    wanted = huggingface_hub.get_hf_file_metadata(where).etag or ""
    found, size = fingerprints(path, wanted), path.stat().st_size
    again = f", asked for again after {failures[-1]}" if failures else ""
    if not found and size == probed.size:  # a mirror's own kind of tag says nothing about the bytes
        return {"state": "ok", "cause": "", "found": f"{probed.file}, {size} bytes; this Hub gives no hash of them"}
    if wanted not in found:
        shown = " or ".join(found) or "of no known kind"
        words = f"{probed.file}: the hash of the {size} bytes that arrived is {shown}, of what the Hub holds {wanted}"
        return {"state": "failed", "cause": "wrong-bytes", "found": f"{words}{again}"}
    words = f"{probed.file}, {size} bytes, hash {wanted[:12]} as the Hub says{again}"
    return {"state": "ok", "cause": "", "found": words}


def fingerprints(path: Path, like: str) -> tuple[str, ...]:
    """What the Hub may call these bytes, by the length: SHA-256 of a large file, git's hash of a small one.

    Some mirrors give a plain SHA-1 instead of git's. Empty for a tag that is none of these.
    """
    content = path.read_bytes()
    sha1 = functools.partial(hashlib.sha1, usedforsecurity=False)
    known = (hashlib.sha256(content), sha1(b"blob %d\0" % len(content) + content), sha1(content))
    return tuple(each.hexdigest() for each in known if len(each.hexdigest()) == len(like))


def cause_of(error: BaseException) -> str:
    """The cause behind an error of the client: by the name of its class, else by the HTTP status behind it."""
    names = {each.__name__ for each in type(error).__mro__}
    by_name = next((cause for name, cause in CAUSES if name in names), "client")
    if by_name != "client":
        return by_name
    for each in chain(error):
        status = getattr(getattr(each, "response", None), "status_code", None)
        if isinstance(status, int) and (status >= 500 or status in BY_STATUS):
            return BY_STATUS.get(status, "broken")
    return "client"


def chain(error: BaseException) -> list[BaseException]:
    """An error and what caused it, up to four."""
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and len(found) < 4:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found


def in_words(error: BaseException) -> str:
    """An error and what caused it, one line each on one line, without secrets."""
    said = []
    for each in chain(error):
        lines = secrets.scrub(str(each).strip().split("\n")[0])
        said.append(f"{type(each).__name__}: {lines[:160] or 'no message'}")
    return " < ".join(said)


def main() -> None:
    """Download and print what came of it as JSON."""
    said = download(Probed.of(sys.argv[3:]), Path(sys.argv[1]), int(sys.argv[2]))
    said["found"] = secrets.scrub(str(said["found"]))
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
