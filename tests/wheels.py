"""Small wheels for tests, and a private package index that serves them behind a password and its own CA."""

import base64
import hashlib
import ssl
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import trustme


def wheel(
    folder: Path,
    name: str,
    version: str,
    requires: str = "",
    files: dict[str, str] | None = None,
    *,
    hashed: bool = False,
) -> Path:
    """Write a wheel with one empty module, or with these files; `hashed` lists their hashes in RECORD."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    contents = files or {f"{module}.py": ""}
    contents |= {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {path: f"sha256={_digest(text)}" if hashed else "" for path, text in contents.items()}
    record = "".join(f"{path},{hashes.get(path, '')},\n" for path in (*contents, f"{info}/RECORD"))
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_inside, text in (*contents.items(), (f"{info}/RECORD", record)):
            archive.writestr(name_inside, text)
    return path


def _digest(text: str) -> str:
    """A SHA-256 as in RECORD: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def pin(path: Path) -> str:
    """A lock's line for a wheel."""
    name, version = path.name.split("-")[:2]
    return f"{name.replace('_', '-')}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@dataclass(frozen=True)
class Index:
    """A running package index: its address with the password, and the certificate of its authority."""

    url: str
    authority: Path
    requested: list[str]
    """Paths of the requests, in order."""


@contextmanager
def served(wheels: Path, private: Path, user: str, password: str) -> Iterator[Index]:
    """Serve the wheels of a folder over TLS on the loopback address, to clients with the password only."""
    authority = trustme.CA(organization_name="The laboratory's own authority")
    authority.cert_pem.write_to_path(str(private / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            if self.headers.get("Authorization") != wanted:
                self.answer(401, b"password required")
                return
            kind, _, name = self.path.strip("/").partition("/")
            file = wheels / name
            if kind == "files" and file.is_file():
                self.answer(200, file.read_bytes())
                return
            names = [path.name for path in wheels.iterdir() if _canonical(path.name.split("-")[0]) == name]
            links = "".join(f'<a href="/files/{wheel_name}">{wheel_name}</a><br>' for wheel_name in names)
            self.answer(200 if names else 404, f"<!DOCTYPE html><html><body>{links}</body></html>".encode())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"127.0.0.1:{server.server_port}"
        yield Index(f"https://{user}:{password}@{address}/simple", private / "authority.pem", requested)
    finally:
        server.shutdown()
        server.server_close()


def _canonical(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()
