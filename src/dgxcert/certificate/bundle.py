"""The evidence bundle: a run folder for a hardware case, redacted, with what the driver says where that is at hand."""

import getpass
import gzip
import io
import os
import re
import shutil
import socket
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command
from dgxcert.certificate import signed_run
from dgxcert.certificate.redaction import HOST, NOBODYS, Redaction, users_in
from dgxcert.certificate.ssh_signature import SUFFIX
from dgxcert.container import hub_token
from dgxcert.outcome import CannotStart
from dgxcert.record import run as runs
from dgxcert.record.run import Run

DRIVER_S = 60.0
BUG_REPORT = "sudo nvidia-bug-report.sh, then: dgxcert bundle RUN --driver-report nvidia-bug-report.log.gz"
PASSWD = Path("/etc/passwd")
FIRST_PERSON = 1000
"""User ids from here on are people's."""


@dataclass(frozen=True)
class File:
    """One file of a bundle as it will be sent."""

    name: str
    content: bytes
    taken_out: int

    @property
    def size_bytes(self) -> int:
        """Its size, uncompressed."""
        return len(self.content)


@dataclass(frozen=True)
class Bundle:
    """All of it, before anything is written; `excluded` holds a reason for each file that is not in it."""

    name: str
    files: tuple[File, ...]
    excluded: tuple[str, ...]

    def listing(self) -> list[str]:
        """One line for each file, with how often something was redacted in it, and for each that is excluded."""
        lines = [
            f"{file.size_bytes:>12,}  {file.name}{f'  ({file.taken_out} redacted)' if file.taken_out else ''}"
            for file in self.files
        ]
        return [*lines, *(f"    excluded  {reason}" for reason in self.excluded)]


def prepare(folder: Path, driver_report: Path | None, *, hide_host: bool) -> Bundle:
    """Read and redact a run folder. Raises CannotStart where it is none, or where a file cannot be read."""
    run = runs.load(folder)
    texts, excluded = _texts(folder)
    if driver_report is not None:
        texts[f"driver/{driver_report.name.removesuffix('.gz')}"] = _report(driver_report)
    elif said := _driver(run):
        texts["driver/nvidia-smi-q.txt"] = said
    if driver_report is None:
        excluded.append(f"the driver's own report, which takes root: {BUG_REPORT}")
    users, homes = _people(texts.values())
    hosts = frozenset({run.machine.hostname, run.machine.hostname.split(".")[0]} if hide_host else set())
    files = []
    for name, text in sorted(texts.items()):
        redaction = Redaction(users, hosts, homes, frozenset({hub_token.find()[0] or ""}))
        redacted = redaction.lines_of_json(text) if name.endswith((".json", ".jsonl")) else redaction.text(text)
        files.append(File(name, redacted.encode(), redaction.taken_out))
    name = run.name.replace(_in_names(run.machine.hostname), HOST.strip("[]")) if hide_host else run.name
    return Bundle(name, tuple(files), tuple(excluded))


def write(bundle: Bundle, path: Path) -> None:
    """Write the archive; raises CannotStart where it exists already or the disk refuses."""
    try:
        with path.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for each in bundle.files:
                about = tarfile.TarInfo(f"{bundle.name}/{each.name}")
                about.size, about.mode = each.size_bytes, 0o644
                archive.addfile(about, io.BytesIO(each.content))
    except FileExistsError as error:
        raise CannotStart(f"{path} is there already.", "Remove it, or name another with --to.") from error
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise CannotStart(
            f"{path} cannot be written: {error.strerror}.", "Make room, or name another with --to."
        ) from error


def _texts(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Every file of a run folder that is text, and what is left out."""
    texts: dict[str, str] = {}
    excluded = []
    signed = {name for kind in signed_run.FILES.values() for name in (kind, kind + SUFFIX)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name in signed:
            excluded.append(f"{name}: what is redacted is no longer what was signed")
        elif path.is_symlink() or not path.is_file():
            excluded += [f"{name}: it is no plain file"] if path.is_symlink() else []
        elif not path.name.startswith("."):
            try:
                texts[name] = path.read_bytes().decode("utf-8")
            except UnicodeDecodeError:
                excluded.append(f"{name}: it is no text, so that nobody can tell what is in it")
            except OSError as error:
                raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Mend its permissions.") from error
    return texts, excluded


def _report(path: Path) -> str:
    """What nvidia-bug-report.sh wrote, unpacked."""
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", errors="replace")
    except (OSError, EOFError) as error:
        raise CannotStart(f"{path} cannot be read: {error}.", "Make it anew: sudo nvidia-bug-report.sh") from error


def _driver(run: Run) -> str:
    """What nvidia-smi says, where this is the machine of the run; "" elsewhere."""
    if not shutil.which("nvidia-smi") or socket.gethostname() != run.machine.hostname:
        return ""
    asked = command.run(["nvidia-smi", "-q"], timeout_s=DRIVER_S)
    return asked.stdout + asked.stderr if asked.returncode is not None else asked.complaint


def _people(texts: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """User names and home folders: those of this machine, of whoever runs this, and those that the texts speak of."""
    users, homes = users_in(texts), set()
    with suppress(OSError, KeyError):
        users.add(getpass.getuser())
    users |= {name for variable in ("SUDO_USER", "LOGNAME", "USER") if (name := os.environ.get(variable))}
    with suppress(OSError, ValueError, UnicodeDecodeError):
        for line in PASSWD.read_text(encoding="utf-8").splitlines():
            name, _, number, _, _, home, *_ = line.split(":")
            if int(number) >= FIRST_PERSON and name not in NOBODYS:
                users.add(name)
                homes |= {home} if home.startswith("/") and home.count("/") > 1 else set()
    with suppress(RuntimeError):
        homes.add(str(Path.home()))
    return frozenset(users), frozenset(home for home in homes if home not in {"/", "/nonexistent"})


def _in_names(hostname: str) -> str:
    """A host name as run folders are called after it."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", hostname).strip("-.")[:40] or "machine"
