"""One small download with huggingface_hub, as a user would run it, and whether its bytes are the pinned ones.

Run as `python -m dgxcert.probes.hub.download FOLDER TRIES REPO REVISION FILE SIZE [SHA256...]`, in a process of its
own: huggingface_hub and hf_xet read their settings once, when they are imported, and hf_xet can hang for minutes in
native code, where only a kill ends it.
"""

import errno
import functools
import hashlib
import json
import re
import sys
from pathlib import Path

from dgxcert.probes.hub import secrets
from dgxcert.probes.hub.access.token import cause_of_gate
from dgxcert.probes.hub.context import ProbedFile

# By class name: the names are the same with requests and with httpx, and the package need not import here.
CAUSE_BY_ERROR = (
    ("LocalEntryNotFoundError", "client"),  # neither in the cache nor on the Hub: before EntryNotFoundError, its parent
    ("GatedRepoError", "gated"),  # before RepositoryNotFoundError, its parent
    ("RepositoryNotFoundError", "not-found"),
    ("RevisionNotFoundError", "not-found"),
    ("EntryNotFoundError", "not-found"),
    ("FileMetadataError", "no-metadata"),
)
"""By a class of huggingface_hub.errors or a subclass; the first that matches counts."""
CAUSE_BY_STATUS = {401: "bad-token", 407: "proxy-login", 429: "rate-limited"}
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)\b")
"""As hf_xet's errors say it, which carry no number. The download goes to the diagnosis's own folder."""
CHUNK_BYTES = 1 << 16


def download(probed: ProbedFile, folder: Path, tries: int) -> dict[str, object]:
    """Download into an empty cache in at most `tries` attempts, and compare the hash; `state`, `cause`, `detail`."""
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except Exception as error:  # whatever a broken package raises on import is the result
        return {"state": "failed", "cause": "no-client", "detail": f"import huggingface_hub: {describe(error)}"}
    # The client writes whole chunks of 10 MB, and resumes after the last one: the probed file is smaller than that.
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    failures: list[str] = []
    for _ in range(tries):
        try:
            path = huggingface_hub.hf_hub_download(probed.repo, probed.name, revision=probed.revision, cache_dir=folder)
            return _compare(probed, Path(path), failures)
        except Exception as error:  # every error of the client is a result, told apart by cause_of
            failures.append(describe(error))
            cause = cause_of(error)
    return {"state": "failed", "cause": cause, "detail": failures[-1]}


def _compare(probed: ProbedFile, path: Path, failures: list[str]) -> dict[str, object]:
    """Compare the file's hash with the pinned one, then with the Hub's.

    Neither huggingface_hub nor hf_xet notices a changed byte, and an endpoint can name the hash of whatever it serves.
    """
    import huggingface_hub

    url = huggingface_hub.hf_hub_url(probed.repo, probed.name, revision=probed.revision)
    expected = huggingface_hub.get_hf_file_metadata(url).etag or ""
    hashes, size = hashes_like(path, expected), path.stat().st_size
    retried = f", in a new attempt after {failures[-1]}" if failures else ""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if probed.sha256 and sha256 not in probed.sha256:
        detail = f"{probed.name}: the SHA-256 of the {size} bytes received is {sha256}, pinned is {probed.sha256[0]}"
        return {"state": "failed", "cause": "wrong-bytes", "detail": f"{detail}{retried}"}
    if not hashes and size == probed.size_bytes:  # a mirror's own kind of etag is no hash of the bytes
        detail = f"{probed.name}, {size} bytes; this Hub gives no hash of them"
        return {"state": "failed", "cause": "no-hash", "detail": detail}
    if expected not in hashes:
        received = " or ".join(hashes) or "of an unknown kind"
        detail = f"{probed.name}: the hash of the {size} bytes received is {received}, on the Hub it is {expected}"
        return {"state": "failed", "cause": "wrong-bytes", "detail": f"{detail}{retried}"}
    detail = f"{probed.name}, {size} bytes, hash {expected[:12]} as on the Hub{retried}"
    return {"state": "ok", "cause": "", "detail": detail}


def hashes_like(path: Path, etag: str) -> tuple[str, ...]:
    """The hashes of a file that are as long as an etag: SHA-256 of a large file, git's SHA-1 of a small one.

    Some mirrors give a plain SHA-1 instead of git's. Empty for an etag of another length.
    """
    content = path.read_bytes()
    sha1 = functools.partial(hashlib.sha1, usedforsecurity=False)
    known = (hashlib.sha256(content), sha1(b"blob %d\0" % len(content) + content), sha1(content))
    return tuple(known_hash.hexdigest() for known_hash in known if len(known_hash.hexdigest()) == len(etag))


def cause_of(error: BaseException) -> str:
    """The cause behind an error of the client: by the name of its class, else by the HTTP status behind it.

    >>> cause_of(type("GatedRepoError", (OSError,), {})("403 Client Error"))
    'gated'
    """
    if any(getattr(link, "errno", None) in FULL or FULL_WORDS.search(str(link)) for link in chain(error)):
        return "no-room-in-tmp"
    classes = {cls.__name__ for cls in type(error).__mro__}
    by_class = next((cause for name, cause in CAUSE_BY_ERROR if name in classes), "client")
    if by_class == "gated":
        return cause_of_gate(str(error), None)
    if by_class != "client":
        return by_class
    for link in chain(error):
        status = getattr(getattr(link, "response", None), "status_code", None)
        if isinstance(status, int) and (status >= 500 or status in CAUSE_BY_STATUS):
            return CAUSE_BY_STATUS.get(status, "server-error")
    return "client"


def chain(error: BaseException) -> list[BaseException]:
    """An error and its causes, at most four in all."""
    errors: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(errors) < 4:
        errors.append(current)
        current = current.__cause__ or current.__context__
    return errors


def describe(error: BaseException) -> str:
    """An error and its causes on one line, the first line of each message, without secrets.

    >>> error = OSError("We couldn't connect to the Hub.")
    >>> error.__cause__ = TimeoutError("The read operation timed out")
    >>> describe(error)
    "OSError: We couldn't connect to the Hub. < TimeoutError: The read operation timed out"
    """
    parts = []
    for link in chain(error):
        message = secrets.scrub(str(link).strip().split("\n")[0])
        parts.append(f"{type(link).__name__}: {message[:160] or 'no message'}")
    return " < ".join(parts)


def main() -> None:
    """Download and print the result as JSON."""
    result = download(ProbedFile.from_arguments(sys.argv[3:]), Path(sys.argv[1]), int(sys.argv[2]))
    result["detail"] = secrets.scrub(str(result["detail"]))
    sys.stdout.write(f"\n{json.dumps(result)}\n")  # on a line of its own: hf_xet may log to the same place


if __name__ == "__main__":
    main()
