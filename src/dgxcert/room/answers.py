"""What a host said when it answered: who it is, and whether a validation can be begun there. Pure."""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dgxcert.console import clipped, on_one_line
from dgxcert.record.room.word import Word
from dgxcert.room.inventory import Host

LINE = re.compile(r"dgxcert ([a-z_-]+)=(.*)")
PYTHONS = ("python3.13", "python3.12", "python3.11", "python3")
"""The programs that are tried, the newest that dgxcert runs on first."""
OLDEST, NEWEST = (3, 11), (3, 13)
PREPARED_KIB, MADE_KIB = 50 * 1024, 1024 * 1024
"""Free disk space for suite and results, and for an environment beside them."""
IDENTITY = {
    "machine-id": "machine-id",
    "product_serial": "serial",
    "product_uuid": "system UUID",
    "board_serial": "board serial",
    "host-key": "SSH host key",
}
CONFIGURATION = {
    "kernel": "kernel",
    "cmdline": "kernel command line",
    "bios_version": "BIOS",
    "bios_date": "BIOS date",
    "product_name": "product",
}
LONGEST = 1000
ARCHITECTURES = {"dgx-spark": "aarch64", "gb200": "aarch64", "dgx-station-gb300": "aarch64"}
"""The processor of machines that have but one kind, by profile: GB10, GB200 and GB300 carry Grace or Arm cores."""
X86 = ("dgx-a100", "dgx-h100", "dgx-h200", "dgx-b200", "dgx-b300", "dgx-station-a100")
"""How the profiles of machines with x86-64 processors begin (their data sheets)."""


@dataclass(frozen=True)
class Answers:
    """What one host said.

    >>> parse("Welcome\\ndgxcert user=lab\\ndgxcert python=3.12 /usr/bin/python3.12\\n").python
    (3, 12)
    """

    user: str = ""
    """Who works there: who logs in, or whom sudo made of him."""
    login: str = ""
    """Who logs in."""
    architecture: str = ""
    time_s: float | None = None
    """Its clock, in seconds since 1970."""
    free_kib: int | None = None
    pythons: tuple[tuple[tuple[int, int], str], ...] = ()
    """Versions of Python with their programs, in the order in which they were tried."""
    engine: str = ""
    """The container engine's version, or what kept it from answering."""
    place: str = ""
    """The folder of dgxcert there, as an absolute path."""
    identity: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    """Whether it said all, to the end."""

    @property
    def python(self) -> tuple[int, int] | None:
        """The version that a validation would use; None where there is none that dgxcert runs on."""
        return next((version for version, _ in self.pythons if OLDEST <= version <= NEWEST), None)

    @property
    def has_engine(self) -> bool:
        """Whether the engine answers this user."""
        return re.fullmatch(r"\d+\.\d+.*", self.engine) is not None


def parse(text: str) -> Answers:
    r"""What the play `answers` printed; other lines, such as a greeting at log-in, are skipped.

    >>> parse("dgxcert architecture=aarch64\ndgxcert answered=yes").architecture
    'aarch64'
    """
    said: dict[str, list[str]] = {}
    for line in text.replace("\r", "").split("\n"):
        if found := LINE.fullmatch(line.strip()):
            said.setdefault(found.group(1), []).append(clipped(on_one_line(found.group(2).strip()), LONGEST))
    first = {name: values[0] for name, values in said.items()}
    return Answers(
        user=first.get("user", ""),
        login=first.get("login", ""),
        architecture=first.get("architecture", ""),
        time_s=_number(first.get("time", "")),
        free_kib=int(number) if (number := _number(first.get("free_kib", ""))) is not None else None,
        pythons=tuple(_python(each) for each in said.get("python", ()) if re.match(r"\d+\.\d+ ", each)),
        engine=first.get("engine", ""),
        place=first.get("place", ""),
        identity={IDENTITY[name]: _identity(name, said[name]) for name in IDENTITY if any(said.get(name, ()))},
        configuration={CONFIGURATION[name]: first[name] for name in CONFIGURATION if first.get(name)},
        whole="answered" in first,
    )


def _identity(name: str, values: Iterable[str]) -> str:
    """The value of one name; of the host keys, of which there are several, a digest over all."""
    known = sorted(filter(None, values))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16] if name == "host-key" else known[0]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _python(text: str) -> tuple[tuple[int, int], str]:
    version, _, program = text.partition(" ")
    major, _, minor = version.partition(".")
    return (int(major), int(minor)), program


Wrong = tuple[Word, str, tuple[str, ...]]


def wrong(answers: Answers, host: Host, profile: str) -> Wrong | None:
    """Why a host that answered cannot be validated; None where nothing speaks against it.

    >>> wrong(Answers(pythons=(((3, 8), "/usr/bin/python3"),), whole=True), Host("a", "a"), "auto")[0]
    <Word.NO_PYTHON: 'no Python'>
    """
    wanted = architecture_of(profile)
    if wanted and answers.architecture and answers.architecture != wanted:
        found = f"it is {answers.architecture}, and profile {profile} is for {wanted}"
        return Word.ARCHITECTURE, found, ("Name its profile in the inventory: dgxcert_profile, or auto",)
    if answers.python is None:
        found = ", ".join(f"{major}.{minor}" for (major, minor), _ in answers.pythons) or "none"
        if host.environment:
            said = f"{host.environment} has no Python that starts"
            return Word.NO_PYTHON, said, ("Prepare that environment again, or leave dgxcert_environment out.",)
        return (
            Word.NO_PYTHON,
            f"wanted Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}, found {found}",
            ("Install one there: sudo apt install python3 python3-venv",),
        )
    if not answers.whole:
        return Word.NOT_STARTED, "its answer is not whole", ("Log in to it, and look what is printed there.",)
    return None


def architecture_of(profile: str) -> str:
    """The architecture of the machines of a profile, as `uname -m` has it; "" where they have several.

    >>> architecture_of("dgx-spark"), architecture_of("dgx-h100"), architecture_of("cpu")
    ('aarch64', 'x86_64', '')
    """
    return ARCHITECTURES.get(profile, "x86_64" if profile.startswith(X86) else "")


def programs(host: Host) -> list[str]:
    """The Python programs to try on a host."""
    return [f"{host.environment.rstrip('/')}/bin/python"] if host.environment else list(PYTHONS)


def variables(hosts: Sequence[Host], place: str, limit_s: int) -> dict[str, object]:
    """What the play `answers` needs to know."""
    return {
        "place": place,
        "wanted_kib": {host.name: PREPARED_KIB if host.environment else MADE_KIB for host in hosts},
        "limit_s": limit_s,
        "pythons": {host.name: programs(host) for host in hosts},
    }
