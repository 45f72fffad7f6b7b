"""A Hugging Face Hub on loopback: one small model, served as the public Hub serves it, with every simulated fault.

    with LoopbackHub(mode="cas-refused") as hub:
        environment = hub.environment()      # HF_ENDPOINT, and SSL_CERT_FILE where it uses TLS
        ...
        hub.requests                         # the requests it has received, with headers

Four servers on ports of their own stand in for huggingface.co, its CDN, and the CAS and the transfer host of Xet
storage. To start it by hand: python tests/simulated/loopback_hub.py --mode cas-refused
"""

import argparse
import hashlib
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from simulated import certificates, xet_store
from simulated.hub_modes import COMPANY_CERTIFICATE, DENIED, MODES, Mode
from simulated.loopback_server import Request, Response, Server, parts

from dgxcert.profiles.checkpoints import PROBED

TOKEN = "hf_" + "LoopbackTokenThatMustNeverBeSeen00"
"""The one token that this Hub accepts. Nothing may write it anywhere."""
READ_TOKEN = "xet-" + "LoopbackCasTokenThatMustNeverBeSeen"
"""The Xet read token, which the CAS accepts."""
SIGNATURE = "LoopbackSignatureThatMustNeverBeSeen"
"""Part of every signed URL of the CDN and the transfer host."""
USER = "loopback-student"
CONFIG = b'{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": 1}\n'
READ_TOKEN_LIFETIME_S = 900


@lru_cache
def weights(size: int) -> bytes:
    """A safetensors file of this many bytes: they do not repeat, and are the same in every process."""
    for length in range(size - 8, 0, -1):
        header = json.dumps({"weight": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}).encode()
        if 8 + len(header) + length <= size:
            header += b" " * (size - 8 - len(header) - length)
            return len(header).to_bytes(8, "little") + header + random.Random(size).randbytes(length)
    raise ValueError(f"{size} bytes are too few for a safetensors file")


def probed() -> dict[str, bytes]:
    """The files of the checkpoint that the diagnosis fetches, of the sizes that it expects."""
    sizes = {name: pinned.size or len(CONFIG) for name, pinned in PROBED.files.items()}
    return {"config.json": CONFIG, **{name: weights(size) for name, size in sizes.items()}}


@dataclass(frozen=True)
class Place:
    """The name of a server, and the address on which it listens; port 0: any free port."""

    name: str = "localhost"
    address: str = "127.0.0.1"
    port: int = 0


PUBLIC = {
    "hub": Place("huggingface.co", "127.0.0.2", 443),
    "cdn": Place("us.aws.cdn.hf.co", "127.0.0.3", 443),
    "cas": Place("cas-server.xethub.hf.co", "127.0.0.4", 443),
    "transfer": Place("transfer.xethub.hf.co", "127.0.0.5", 443),
}
"""The names of the public Hub, for a network namespace in which they resolve to loopback."""
NAMED = {name: Place(f"{name}.test") for name in PUBLIC}
"""Names that resolve only in a network namespace of a test."""


@dataclass
class LoopbackHub:
    """One Hub. Files ending in .safetensors are in Xet storage and on the CDN, the others in git."""

    mode: str | Mode = "healthy"
    repo: str = PROBED.repo
    revision: str = PROBED.revision
    files: Mapping[str, bytes] = field(default_factory=probed)
    tls: bool = True
    prefix: str = ""
    """A path before that of each request, which mirrors may have: `/mirror/hf`."""
    cas: str = "http"
    """`http`: a CAS server; `local`: hf_xet reads the folder of the store itself."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where `hub`, `cdn`, `cas` and `transfer` listen; by default on any free port of localhost."""
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.faults = MODES[self.mode] if isinstance(self.mode, str) else self.mode
        self.stored = {name: xet_store.store(data) for name, data in self.files.items() if _large(name)}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="loopback-hub-")))
        self.authority = certificates.Authority(self.folder)
        self.company = certificates.Authority(self.folder, certificates.COMPANY)
        handles = {"hub": self._hub, "cdn": self._cdn, "cas": self._cas, "transfer": self._transfer}
        for name, handle in handles.items():
            place = self.places.get(name, Place())
            fault = getattr(self.faults, name)
            authority = self.company if fault.certificate == COMPANY_CERTIFICATE else self.authority
            context = authority.server_context(fault.certificate) if self.tls else None
            server = Server(name, handle, fault, self.requests, context, place.name, place.address, place.port)
            setattr(self, f"{name}_server", self._stack.enter_context(server))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    hub_server: Server = field(init=False)
    cdn_server: Server = field(init=False)
    cas_server: Server = field(init=False)
    transfer_server: Server = field(init=False)

    @property
    def endpoint(self) -> str:
        """The value for HF_ENDPOINT."""
        return self.hub_server.url + self.prefix

    def environment(self) -> dict[str, str]:
        """The variables with which a client uses this Hub and trusts its certificate; no token."""
        trust = {name: str(self.authority.bundle) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if self.tls}
        return {"HF_ENDPOINT": self.endpoint, **trust}

    def received(self, server: str = "", path: str = "") -> list[Request]:
        """The requests to one server whose path contains `path`."""
        return [request for request in self.requests if server in ("", request.server) and path in request.path]

    def sha256(self, name: str) -> str:
        """The SHA-256 of one file."""
        return hashlib.sha256(self.files[name]).hexdigest()

    def _hub(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        """The response of huggingface.co."""
        if not path.startswith(self.prefix):
            return _error(404, "Sorry, we can't find the page you are looking for.")
        segments = parts(path[len(self.prefix) :])
        bearer = headers.get("authorization", "")
        if bearer and bearer != f"Bearer {TOKEN}":
            return _error(401, "Invalid credentials in Authorization header")
        match segments:
            case ["api", "whoami-v2"]:
                return _json(_whoami()) if bearer else _error(401, "Invalid username or password.")
            case [".well-known", "meta.json"]:
                return _json(self._meta())
            case ["api", "models", owner, name, *rest] if f"{owner}/{name}" == self.repo:
                return self._model(rest)
            case ["api", "resolve-cache", "models", owner, name, _, *rest] if f"{owner}/{name}" == self.repo:
                return self._small("/".join(rest))
            case ["api", "models", *_]:
                return _error(404 if bearer else 401, "Repository not found", "RepoNotFound")
            case [owner, name, "resolve", revision, *rest] if f"{owner}/{name}" == self.repo:
                if revision not in ("main", self.revision):
                    return _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
                return self._file("/".join(rest), headers.get("range", ""))
            case [_, _, "resolve", *_]:
                return _error(404 if bearer else 401, "Repository not found", "RepoNotFound")
        return _error(404, "Sorry, we can't find the page you are looking for.")

    def _model(self, rest: list[str]) -> Response:
        """The response of the API for the model."""
        match rest:
            case [] | ["revision", _]:
                siblings = [{"rfilename": name} for name in self.files]
                about = {"_id": "621ffdc036468d709f17434d", "id": self.repo, "modelId": self.repo, "private": False}
                about |= {"sha": self.revision, "gated": False, "disabled": False, "downloads": 1, "likes": 1}
                about |= {"pipeline_tag": "text-generation", "library_name": "transformers", "tags": []}
                return _json({**about, "siblings": siblings})
            case ["tree", _, *_]:
                return _json([self._entry(name) for name in self.files])
            case ["xet-read-token", _]:
                return self._read_token()
        return _error(404, "Sorry, we can't find the page you are looking for.")

    def _entry(self, name: str) -> dict[str, object]:
        """One file in the repository's tree."""
        entry: dict[str, object] = {"type": "file", "oid": _git_blob(self.files[name]), "size": len(self.files[name])}
        if _large(name):
            entry["lfs"] = {"oid": self.sha256(name), "size": len(self.files[name]), "pointerSize": 135}
            entry["xetHash"] = self.stored[name].hash
        return {**entry, "path": name}

    def _read_token(self) -> Response:
        """The CAS's URL and the read token, in the body for hf_xet and in the headers for huggingface_hub."""
        cas_url, expires = self._cas_url(), int(time.time()) + READ_TOKEN_LIFETIME_S
        body = {"casUrl": cas_url, "exp": expires, "accessToken": READ_TOKEN}
        headers = {"X-Xet-Cas-Url": cas_url, "X-Xet-Token-Expiration": str(expires), "X-Xet-Access-Token": READ_TOKEN}
        return Response(200, json.dumps(body).encode(), {**_JSON, **headers})

    def _cas_url(self) -> str:
        if self.cas == "local":
            return next(iter(self.stored.values())).local_cas
        return self.cas_server.url

    def _meta(self) -> dict[str, object]:
        """The machine-readable list of hosts."""
        return {
            "domains": [urlsplit(self.hub_server.url).netloc],
            "cdnDomains": [urlsplit(self.cdn_server.url).netloc],
            "lfsDomains": [urlsplit(server.url).netloc for server in (self.transfer_server, self.cas_server)],
        }

    def _file(self, name: str, part: str) -> Response:
        """HEAD or GET of one file: a redirect to the resolve cache for a small one, to the CDN for a large one."""
        headers = {"X-Repo-Commit": self.revision, "Accept-Ranges": "bytes", "X-Request-Id": "Root=1-loopback"}
        if name not in self.files:
            return _error(404, "Entry not found", "EntryNotFound", headers)
        data = self.files[name]
        if not _large(name):
            location = f"{self.prefix}/api/resolve-cache/models/{self.repo}/{self.revision}/{name}"
            headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{_git_blob(data)}"', "Location": location}
            return Response(307, b"Temporary Redirect", headers)
        token = f"{self.endpoint}/api/models/{self.repo}/xet-read-token/{self.revision}"
        headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{self.sha256(name)}"'}
        headers |= {"X-Xet-Hash": self.stored[name].hash, "Link": f'<{token}>; rel="xet-auth"'}
        location = f"{self.cdn_server.url}/xet-bridge-us/{self.sha256(name)}/{name}?{_signed(part)}"
        return Response(302, f"Found. Redirecting to {location}".encode(), {**headers, "Location": location})

    def _small(self, name: str) -> Response:
        """A small file, from the Hub's resolve cache."""
        if name not in self.files or _large(name):
            return _error(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": self.revision, "Accept-Ranges": "bytes", "ETag": f'"{_git_blob(self.files[name])}"'}
        return Response(200, self.files[name], {**headers, "Content-Type": "text/plain; charset=utf-8"}, content=True)

    def _cdn(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        """The response of us.aws.cdn.hf.co, which needs a signed URL and no token."""
        name = parts(path)[-1] if parts(path) else ""
        if name not in self.files or not path.endswith(f"?{_signed(headers.get('range', ''))}"):
            return DENIED
        sent = {"ETag": f'"{hashlib.md5(self.files[name]).hexdigest()}"', "Accept-Ranges": "bytes"}
        return Response(200, self.files[name], {**sent, "Content-Type": "application/octet-stream"}, content=True)

    def _cas(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        """The response of cas-server.xethub.hf.co: the reconstruction of a file."""
        if headers.get("authorization") != f"Bearer {READ_TOKEN}":
            return Response(401, b"Unauthorized")
        match parts(path):
            case ["v1" | "v2" as version, "reconstructions", file_hash]:
                matches = [stored for stored in self.stored.values() if stored.hash == file_hash]
                if matches:
                    return self._reconstruction(matches[0], int(version[1]), headers)
        return Response(404, b"Not found")

    def _reconstruction(self, stored: xet_store.Stored, version: int, headers: Mapping[str, str]) -> Response:
        first, _, last = headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        if int(first) >= stored.size:
            return Response(416, b"Range Not Satisfiable")
        end = min(int(last or stored.size), stored.size - 1)
        return _json(stored.reconstruction(version, int(first), end, self.transfer_server.url, _signed))

    def _transfer(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        """The response of transfer.xethub.hf.co: the bytes of a xorb for which the URL is signed."""
        for stored in self.stored.values():
            if parts(path) == ["xorbs", "default", stored.xorb_hash]:
                if not path.endswith(f"?{_signed(headers.get('range', ''))}"):
                    return DENIED
                return Response(200, stored.xorb, {"Content-Type": "application/octet-stream"}, content=True)
        return DENIED


_JSON = {"Content-Type": "application/json; charset=utf-8"}


def _large(name: str) -> bool:
    return name.endswith(".safetensors")


def _signed(part: str) -> str:
    """The query of a signed URL, valid for this range of a file; for the whole file where `part` is empty."""
    return f"Range={part.removeprefix('bytes=')}&Signature={SIGNATURE}"


def _git_blob(data: bytes) -> str:
    """The hash of a file in git."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _json(value: object) -> Response:
    limit = {"RateLimit": '"api";r=499;t=300', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
    return Response(200, json.dumps(value).encode(), {**_JSON, **limit})


def _whoami() -> dict[str, object]:
    access = {"displayName": "loopback", "role": "read", "createdAt": "2026-01-01T00:00:00.000Z"}
    about = {"type": "user", "id": "5e7a", "name": USER, "fullname": "Loopback Student", "isPro": False, "orgs": []}
    return {**about, "auth": {"type": "access_token", "accessToken": access}}


def _error(status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """An error as the Hub sends it."""
    headers = {"X-Error-Message": message, **_JSON, **(headers or {}), **({"X-Error-Code": code} if code else {})}
    return Response(status, json.dumps({"error": message}).encode(), headers)


def main() -> None:
    """Serve until interrupted, and print the variables for a client."""
    parser = argparse.ArgumentParser(description="A Hugging Face Hub on loopback.")
    parser.add_argument("--mode", choices=sorted(MODES), default="healthy")
    parser.add_argument("--http", action="store_true", help="without TLS")
    parser.add_argument("--prefix", default="", help="a path before that of each request, which mirrors may have")
    options = parser.parse_args()
    with LoopbackHub(options.mode, tls=not options.http, prefix=options.prefix) as hub:
        for name, value in hub.environment().items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
