"""The evidence bundle: a redacted copy of a run folder for a hardware case, with a report of the driver."""

import getpass
import gzip
import hashlib
import io
import os
import re
import shutil
import socket
import tarfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dgxcert import command
from dgxcert.certificate import signed_run
from dgxcert.certificate.redaction import SHARED_ACCOUNTS, Redaction, users_in
from dgxcert.certificate.ssh.signature import SUFFIX
from dgxcert.console import on_one_line
from dgxcert.files import atomic, untrusted
from dgxcert.outcome import CannotStart
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.redaction import library, scrubber

NVIDIA_SMI_S = 60.0
BUG_REPORT = "sudo nvidia-bug-report.sh, then: dgxcert bundle RUN --driver-report nvidia-bug-report.log.gz"
PASSWD = Path("/etc/passwd")
LARGEST_FILE = 64 * untrusted.MIB
LARGEST_BUNDLE = 256 * untrusted.MIB
MOST_FILES = 1000
OURS = re.compile(
    r"(?:run|benchmarks?|timings)\.json|records\.jsonl|report\.html|summary\.md|junit\.xml|metrics\.prom"
    r"|logs/[a-z]{1,12}(?:-\d{1,4})?\.log|(?:kept|inside)/[a-z-]{1,20}\.jsonl"
)
"""The names of files that dgxcert writes into a run folder; others get a number."""
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
    """Ours, from a digest of the run: neither the run nor its folder can name anything in an archive."""
    folder: Path
    files: tuple[File, ...]
    excluded: tuple[str, ...]
    names: Redaction
    """The names that no file of it may have."""

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
    name = f"dgxcert-bundle-{hashlib.sha256(texts.get(runs.NAME, '').encode()).hexdigest()[:12]}"
    if driver_report is not None:
        texts["driver/nvidia-bug-report.log"] = _read_report(driver_report)
    elif output := _nvidia_smi(run):
        texts["driver/nvidia-smi-q.txt"] = output
    if driver_report is None:
        excluded.append(f"the driver's bug report, which needs root: {BUG_REPORT}")
    users, homes = _users_and_homes(texts.values())
    hosts = frozenset({run.machine.hostname, run.machine.hostname.split(".")[0]} if hide_host else set())
    files = []
    for member, text in sorted(texts.items()):
        redaction = Redaction(users, hosts, homes)
        redacted = redaction.lines_of_json(text) if member.endswith((".json", ".jsonl")) else redaction.text(text)
        files.append(File(member, redacted.encode(errors="replace"), redaction.count))
    return Bundle(name, folder, tuple(files), tuple(excluded), Redaction(users, hosts, homes))


def write(bundle: Bundle, path: Path) -> None:
    """Write the archive, read it back and look for secrets and names in each member.

    Raises CannotStart where it exists already, would lie in the folder that it packs, or cannot be written, and where
    a secret shows: then it is removed.
    """
    if path.resolve().is_relative_to(bundle.folder.resolve()):
        raise CannotStart(f"{path} would lie in the run that it packs.", "Name another place with --to.")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, atomic.EVIDENCE)
    except FileExistsError as error:
        raise CannotStart(f"{path} already exists.", "Remove it, or name another with --to.") from error
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            _pack(bundle, file)
        _require_clean(path, bundle.names)
    except BaseException as error:  # Ctrl-C too leaves no archive that nobody has looked through
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from error
        raise


def _pack(bundle: Bundle, file: IO[bytes]) -> None:
    # The same content gives the same bytes: no time, no owner, no name of a file.
    with (
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for bundled in bundle.files:
            # A new TarInfo, and not that of the file: owner and group would name a user.
            member = tarfile.TarInfo(f"{bundle.name}/{bundled.name}")
            member.size, member.mode = bundled.size_bytes, 0o644
            archive.addfile(member, io.BytesIO(bundled.content))


def _require_clean(path: Path, names: Redaction) -> None:
    """Raise CannotStart where a member of an archive has a secret or a name; which kind, and never what it is."""
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            text = file.read().decode("utf-8", errors="replace") if file else ""
            try:
                kinds = scrubber.kinds(f"{member.name}\n{text}")
            except library.Missing as error:
                raise CannotStart(
                    "A bundle is scanned for tokens, and detect-secrets is not installed.",
                    "Set up the environment again: make setup",
                ) from error
            if names.shows_names(text):
                kinds.append("the name of a user, a home or the host")
            if kinds:
                inside = member.name.partition("/")[2]
                raise CannotStart(
                    f"{inside} still has {', '.join(kinds)} after redaction, so that no archive was kept.",
                    f"Remove it from {inside} in a copy of the run folder, then bundle that copy.",
                )


def _cannot_write(path: Path, error: OSError) -> CannotStart:
    return CannotStart(f"{path} cannot be written: {error.strerror}.", "Free some space, or name another with --to.")


def _texts(folder: Path) -> tuple[dict[str, str], list[str]]:
    """The text files of a run folder by the name that they get in the archive, and a line for each other file."""
    texts: dict[str, str] = {}
    excluded: list[str] = []
    left, others = LARGEST_BUNDLE, 0
    signed = {name for kind in signed_run.FILES.values() for name in (kind, kind + SUFFIX)}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        shown = scrubber.text(on_one_line(name))
        if name in signed:
            excluded.append(f"{name}: a redacted file no longer matches its signature")
            continue
        try:
            text = untrusted.read_text(path, min(LARGEST_FILE, left))
        except untrusted.UnfitError as error:
            excluded.append(f"{shown}: {error.strerror}, so it is not packed")
            continue
        except OSError as error:
            raise CannotStart(
                f"{path} cannot be read: {error.strerror}.", f"Make it readable: chmod u+r {path}"
            ) from error
        left -= len(text.encode())
        if OURS.fullmatch(name):
            texts[name] = text
        else:
            others += 1
            texts[f"other/{others:03}.txt"] = text
            excluded.append(f"the name of {shown}: it is other/{others:03}.txt")
    return texts, excluded


def _files(folder: Path) -> list[Path]:
    """What lies in a folder, links not followed; at most MOST_FILES."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        linked = [name for name in folders if Path(parent, name).is_symlink()]
        found += [Path(parent, name) for name in (*names, *linked) if not name.startswith(".")]
        if len(found) > MOST_FILES:
            raise CannotStart(f"{folder} has more than {MOST_FILES} files.", "Remove what is not of the run.")
    return sorted(found)


def _read_report(path: Path) -> str:
    """Output of nvidia-bug-report.sh, unpacked."""
    try:
        content = untrusted.read_bytes(path, LARGEST_FILE, follow=True)
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise untrusted.UnfitError(path, f"it has more than the {LARGEST_FILE} bytes that are read")
        return content.decode("utf-8", errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        raise CannotStart(f"{path} cannot be read: {error}.", "Create it again: sudo nvidia-bug-report.sh") from error


def _nvidia_smi(run: Run) -> str:
    """Output of `nvidia-smi -q` where this is the machine of the run, otherwise "": it would be of another GPU."""
    if not shutil.which("nvidia-smi") or socket.gethostname() != run.machine.hostname:
        return ""
    completed = command.run(["nvidia-smi", "-q"], timeout_s=NVIDIA_SMI_S)
    return completed.stdout + completed.stderr if completed.returncode is not None else completed.complaint


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
