"""The evidence bundle: a redacted copy of a run folder for a hardware case, with a report of the driver."""

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
from dgxcert.certificate.redaction import HOST, SHARED_ACCOUNTS, Redaction, users_in
from dgxcert.certificate.ssh.signature import SUFFIX
from dgxcert.container import hub_token
from dgxcert.outcome import CannotStart
from dgxcert.record import run as runs
from dgxcert.record.run import Run

NVIDIA_SMI_S = 60.0
BUG_REPORT = "sudo nvidia-bug-report.sh, then: dgxcert bundle RUN --driver-report nvidia-bug-report.log.gz"
PASSWD = Path("/etc/passwd")
FIRST_USER_ID = 1000
"""The first user id of a person: UID_MIN in /etc/login.defs of Ubuntu."""


@dataclass(frozen=True)
class File:
    """One file of a bundle, redacted."""

    name: str
    content: bytes
    redactions: int

    @property
    def size_bytes(self) -> int:
        """Uncompressed size."""
        return len(self.content)


@dataclass(frozen=True)
class Bundle:
    """The content of an archive before it is written; `excluded` holds a line for each file that is not in it."""

    name: str
    files: tuple[File, ...]
    excluded: tuple[str, ...]

    def listing(self) -> list[str]:
        """One line for each file, with how often something was redacted in it, and for each that is excluded."""
        lines = [
            f"{file.size_bytes:>12,}  {file.name}{f'  ({file.redactions} redacted)' if file.redactions else ''}"
            for file in self.files
        ]
        return [*lines, *(f"    excluded  {reason}" for reason in self.excluded)]


def prepare(folder: Path, driver_report: Path | None, *, hide_host: bool) -> Bundle:
    """Read and redact a run folder. Raises CannotStart where it is not one, or where a file cannot be read."""
    run = runs.load(folder)
    texts, excluded = _texts(folder)
    if driver_report is not None:
        texts[f"driver/{driver_report.name.removesuffix('.gz')}"] = _read_report(driver_report)
    elif output := _nvidia_smi(run):
        texts["driver/nvidia-smi-q.txt"] = output
    if driver_report is None:
        excluded.append(f"the driver's bug report, which needs root: {BUG_REPORT}")
    users, homes = _users_and_homes(texts.values())
    hosts = frozenset({run.machine.hostname, run.machine.hostname.split(".")[0]} if hide_host else set())
    files = []
    for name, text in sorted(texts.items()):
        redaction = Redaction(users, hosts, homes, frozenset({_token()}))
        redacted = redaction.lines_of_json(text) if name.endswith((".json", ".jsonl")) else redaction.text(text)
        files.append(File(name, redacted.encode(), redaction.count))
    name = run.name.replace(_in_folder_names(run.machine.hostname), HOST.strip("[]")) if hide_host else run.name
    return Bundle(name, tuple(files), tuple(excluded))


def write(bundle: Bundle, path: Path) -> None:
    """Write the archive. Raises CannotStart where it exists already or cannot be written."""
    try:
        with path.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for bundled in bundle.files:
                # A new TarInfo, and not that of the file: owner and group would name a user.
                member = tarfile.TarInfo(f"{bundle.name}/{bundled.name}")
                member.size, member.mode = bundled.size_bytes, 0o644
                archive.addfile(member, io.BytesIO(bundled.content))
    except FileExistsError as error:
        raise CannotStart(f"{path} already exists.", "Remove it, or name another with --to.") from error
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise CannotStart(
            f"{path} cannot be written: {error.strerror}.", "Free some space, or name another with --to."
        ) from error


def _texts(folder: Path) -> tuple[dict[str, str], list[str]]:
    """The text files of a run folder by name, and a line for each other file."""
    texts: dict[str, str] = {}
    excluded = []
    signed = {name for kind in signed_run.FILES.values() for name in (kind, kind + SUFFIX)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name in signed:
            excluded.append(f"{name}: a redacted file no longer matches its signature")
        elif path.is_symlink() or not path.is_file():
            excluded += [f"{name}: it is not a plain file"] if path.is_symlink() else []
        elif not path.name.startswith("."):
            try:
                texts[name] = path.read_bytes().decode("utf-8")
            except UnicodeDecodeError:
                excluded.append(f"{name}: it is not text, so it cannot be redacted")
            except OSError as error:
                raise CannotStart(
                    f"{path} cannot be read: {error.strerror}.", f"Make it readable: chmod u+r {path}"
                ) from error
    return texts, excluded


def _read_report(path: Path) -> str:
    """Output of nvidia-bug-report.sh, unpacked."""
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", errors="replace")
    except (OSError, EOFError) as error:
        raise CannotStart(f"{path} cannot be read: {error}.", "Create it again: sudo nvidia-bug-report.sh") from error


def _nvidia_smi(run: Run) -> str:
    """Output of `nvidia-smi -q` where this is the machine of the run, otherwise "": it would be of another GPU."""
    if not shutil.which("nvidia-smi") or socket.gethostname() != run.machine.hostname:
        return ""
    completed = command.run(["nvidia-smi", "-q"], timeout_s=NVIDIA_SMI_S)
    return completed.stdout + completed.stderr if completed.returncode is not None else completed.complaint


def _token() -> str:
    """The user's token, which must not be in a bundle; empty where it cannot be read."""
    try:
        return hub_token.find()[0]
    except (OSError, UnicodeError):
        return ""


def _users_and_homes(texts: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """User names and home folders of this machine, of the calling user, and in the texts themselves."""
    users, homes = users_in(texts), set()
    with suppress(OSError, KeyError):
        users.add(getpass.getuser())
    users |= {name for variable in ("SUDO_USER", "LOGNAME", "USER") if (name := os.environ.get(variable))}
    with suppress(OSError, ValueError, UnicodeDecodeError):
        for line in PASSWD.read_text(encoding="utf-8").splitlines():
            name, _, number, _, _, home, *_ = line.split(":")
            if int(number) >= FIRST_USER_ID and name not in SHARED_ACCOUNTS:
                users.add(name)
                homes |= {home} if home.startswith("/") and home.count("/") > 1 else set()
    with suppress(RuntimeError):
        homes.add(str(Path.home()))
    return frozenset(users), frozenset(home for home in homes if home not in {"/", "/nonexistent"})


def _in_folder_names(hostname: str) -> str:
    """A host name as it is in the name of a run folder.

    >>> _in_folder_names("spark_07.lab")
    'spark-07.lab'
    """
    return re.sub(r"[^A-Za-z0-9.-]+", "-", hostname).strip("-.")[:40] or "machine"
