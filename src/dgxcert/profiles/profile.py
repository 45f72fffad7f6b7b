"""A profile: what a machine of one type must be and reach. One YAML file per type, nothing by default.

A limit is computed from a reading and a margin, or given as `min`, `max` or `equals`. `basis` is how the number came
about (measured, published, derived), `source` where it is from, `note` what else to know:

>>> text = '''
... extends: h200
... certifies: false
... machine: NVIDIA H200 of rack 7
... limits:
...   bandwidth.copy:
...     reading: [4258, 4297]    # in the limit's unit; the worst counts
...     margin: 0.11             # the limit is 11 % below it, rounded to two significant digits
...     unit: GB/s
...     basis: measured
...     source: two H200, 2026-11-26
...   spread:
...     reading: 0.037
...     margin: 0.35
...     direction: max           # 35 % above the reading; `min` where it is not given
...     unit: of median
...     basis: measured
...     source: two H200, 2026-11-26
...   link.width:
...     min: 16
...     unit: lane
...     basis: published
...     source: an H200 SXM has 16 lanes
... '''
>>> rack = parse(text, Path("rack-7.yaml"))
>>> rack.limit("bandwidth.copy").min, rack.limit("spread").max, rack.limit("link.width").source
(3800.0, 0.05, 'published: an H200 SXM has 16 lanes')

`extends` names a profile that ships or the path of a .yaml file. The file then gives only what differs: sections are
merged by key, a quantity (and `gpu`) is replaced whole, `null` removes a key, and `name`, `match` and `certifies` are
never inherited. `digits` are the significant digits that a computed limit is rounded to, two unless given. Entries of
`physical` and `memory` have a `value` with `unit`, `basis`, `source` and `note`. `basis` and `note` are optional.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from dgxcert import near_miss
from dgxcert.files.yaml_document import Document
from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.requirement import OWN_LIMIT
from dgxcert.judgement.units import PEAKS, QUANTITIES, SPEEDS
from dgxcert.machine.identity import Gpu, Machine, MemoryKind
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart, Inconclusive
from dgxcert.profiles import certifying, inheritance, schema_errors, site_record
from dgxcert.profiles.checkpoints import KNOWN
from dgxcert.profiles.inheritance import BASES, SHIPPED, is_file, names_in
from dgxcert.profiles.quantity import Quantity, WrittenLimit, WrittenPeak
from dgxcert.profiles.site_record import Lab, Site
from dgxcert.profiles.workload_sizes import LARGEST, Collectives, DataParallel, Part, Workloads

FALLBACK = "generic-nvidia"
"""The profile of a machine that no other profile matches."""


class Match(Part):
    """What `--profile auto` chooses this profile by: see `profiles.matching`."""

    product: str
    """The name of each GPU, as the driver reports it."""
    compute_capability: str
    memory_gib: Annotated[tuple[float, float], Field(strict=False)] | None = None
    """Least and most memory of each GPU, where two products share a name."""
    systems: tuple[str, ...] = ()
    """Names of the machine in its firmware (DMI), without its maker; none where the GPU alone tells the machine."""
    display_adapter: str | None = None
    """An adapter for a monitor, which only this machine has beside GPUs of this product."""

    @model_validator(mode="after")
    def _least_first(self) -> "Match":
        if self.memory_gib is not None and not 0 < self.memory_gib[0] < self.memory_gib[1]:
            raise ValueError(f"memory_gib: wanted the least and the most, found {list(self.memory_gib)}")
        return self


class Gpus(Part):
    """The number of GPUs, exact or at least; 0 means that this profile uses no GPU.

    >>> Gpus(count=8).expected, Gpus(at_least=2).expected
    (8, 2)
    """

    count: int | None = Field(default=None, ge=0)
    at_least: int | None = Field(default=None, ge=1)
    memory: MemoryKind = MemoryKind.SEPARATE

    @model_validator(mode="before")
    @classmethod
    def _kind_of_before(cls, content: Any) -> Any:
        """Take `unified_memory`, as it was written before a GPU could have coherent memory."""
        if not isinstance(content, dict) or "unified_memory" not in content:
            return content
        unified = content["unified_memory"]
        if not isinstance(unified, bool) or "memory" in content:
            raise ValueError("unified_memory: write `memory: unified` in its place")
        kind = MemoryKind.UNIFIED if unified else MemoryKind.SEPARATE
        return {name: value for name, value in content.items() if name != "unified_memory"} | {"memory": kind}

    @model_validator(mode="after")
    def _one_of_both(self) -> "Gpus":
        if (self.count is None) == (self.at_least is None):
            raise ValueError("give exactly one of `count` and `at_least`")
        return self

    @property
    def expected(self) -> int:
        """The smallest number of GPUs with which this profile can pass."""
        return self.count if self.count is not None else self.at_least or 1


class Memory(Part):
    """Free memory in GiB: work is sized to leave `margin` free, and is stopped where less than `floor` is free."""

    margin: Bound
    floor: Bound

    @model_validator(mode="after")
    def _in_gib(self) -> "Memory":
        for name, bound in (("margin", self.margin), ("floor", self.floor)):
            if bound.unit != "GiB" or bound.value <= 0:
                raise ValueError(f"{name}: wanted a value above 0 in GiB, found {bound.value:g} {bound.unit}")
        if self.floor.value >= self.margin.value:
            raise ValueError("floor must be below margin, or work of the allowed size would be stopped")
        return self


def _text(value: Any) -> Any:
    """YAML reads 12.1 as a number; a version is a string."""
    return str(value) if isinstance(value, float) else value


class Profile(Part):
    """A whole profile, checked, as runs record it."""

    name: str
    machine: str
    certifies: bool
    summary: str
    match: Match | None = None
    gpu: Gpus
    memory: Memory
    physical: dict[str, Bound]
    limits: dict[str, Limit]
    workloads: Workloads
    checkpoints: tuple[str, ...] = ()
    """Checkpoints that must be in the cache where the Hub is switched off on purpose."""
    not_applicable: dict[str, Annotated[str, BeforeValidator(_text)]] = {}
    """Requirements that do not apply to this machine, each with the reason."""
    not_applicable_native: dict[str, Annotated[str, BeforeValidator(_text)]] = {}
    """Requirements that do not apply where the suite runs without a container."""
    not_applicable_alone: dict[str, Annotated[str, BeforeValidator(_text)]] = {}
    """Requirements about what joins several GPUs, which do not apply where there is one, each with the reason."""
    not_applicable_pair: dict[str, Annotated[str, BeforeValidator(_text)]] = {}
    """Requirements about two machines with a cable between them, which no machine's plan has, each with the reason."""
    own: bool = False
    """Whether it is read from a user's file: such a profile certifies nothing, whatever it says."""
    lab: Lab | None = None
    """What a lab has declared for its own checks; None where it has not. It changes no limit of the profile."""
    site: Site | None = None
    """What a site has tightened, and from which runs; None where the limits are those that ship."""

    @model_validator(mode="after")
    def _units_and_names(self) -> "Profile":
        for name, limit in self.limits.items():
            _require_known(name, list(QUANTITIES), "limits")
            for edge in ("min", "max", "equals"):
                value = getattr(limit, edge)
                if isinstance(value, float) and not 0 <= value <= LARGEST:
                    raise ValueError(f"limits.{name}.{edge}: wanted 0 to {LARGEST:g}, found {value:g}")
            if limit.unit not in QUANTITIES[name]:
                raise ValueError(f"limits.{name}.unit: wanted {' or '.join(QUANTITIES[name])}, found {limit.unit!r}")
        for name, peak in self.physical.items():
            _require_known(name, list(PEAKS), "physical")
            if not 0 < peak.value <= LARGEST:
                raise ValueError(f"physical.{name}.value: wanted more than 0, up to {LARGEST:g}, found {peak.value:g}")
            if peak.unit != PEAKS[name]:
                raise ValueError(f"physical.{name}.unit: wanted {PEAKS[name]}, found {peak.unit!r}")
        for name in [name for name in self.limits if name.split(".")[0] in SPEEDS]:
            limit = self.limits[name]
            if limit.min is None or limit.max is not None or limit.equals is not None:
                raise ValueError(f"limits.{name}: a speed has a minimum and nothing else")
            if limit.min == 0:
                raise ValueError(f"limits.{name}.min: wanted a speed above 0, found 0")
        for name in self.checkpoints:
            _require_known(name, list(KNOWN), "checkpoints")
        if self.certifies and self.gpu.count is None:
            raise ValueError("gpu.count: a profile that certifies must say exactly how many GPUs there are")
        if self.certifies and self.gpu.expected > 1 and (left := certifying.unjoined(self.not_applicable)):
            raise ValueError(f"not_applicable.{left[0]}: several GPUs are certified only with what joins them")
        return self

    @model_validator(mode="after")
    def _site_only_tightens(self) -> "Profile":
        if self.site is None:
            return self
        for name, shipped in self.site.shipped.items():
            _require_known(name, list(self.limits), "site.shipped")
            if problem := site_record.problem(shipped, self.limits[name]):
                raise ValueError(f"limits.{name}: {problem}")
        if self.without_site.sha256 != self.site.shipped_sha256:
            raise ValueError("it differs from the shipped profile in more than what its site profile tightened")
        return self

    @property
    def without_site(self) -> "Profile":
        """The profile as it ships, without what a site tightened."""
        if self.site is None:
            return self.model_copy(update={"lab": None})
        return self.model_copy(update={"limits": self.limits | self.site.shipped, "site": None, "lab": None})

    @property
    def uses_gpu(self) -> bool:
        """Whether this profile uses a GPU at all."""
        return self.gpu.expected > 0

    def gpus_of(self, machine: Machine) -> tuple[Gpu, ...]:
        """The GPUs of a machine that work uses, none in a profile without GPUs.

        Raises Inconclusive where the profile uses GPUs and the driver lists none.
        """
        if self.uses_gpu and not machine.gpus:
            raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
        return machine.gpus if self.uses_gpu else ()

    def gpus_in(self, machine: Machine) -> int:
        """How many GPUs a run on this machine is about: those that the profile expects, or more if it has more.

        A machine that has lost GPUs is judged as what it was sold as.
        """
        if not self.uses_gpu:
            return 0
        adapters = [adapter.index for adapter in machine.display_adapters]
        before = {gpu.index: sum(index < gpu.index for index in adapters) for gpu in machine.gpus}
        return max([self.gpu.expected, *(index + 1 - between for index, between in before.items())])

    def exclusions(self, runtime: Runtime, gpus: int) -> dict[str, str]:
        """Requirements that do not apply with this runtime and so many GPUs, each with the reason.

        >>> load("h200").exclusions(Runtime.DOCKER, gpus=2) == load("h200").not_applicable
        True
        """
        native = self.not_applicable_native if runtime is Runtime.NATIVE else {}
        alone = self.not_applicable_alone if self.uses_gpu and gpus <= 1 else {}
        return {**self.not_applicable, **native, **alone}

    @property
    def gpu_count(self) -> Limit:
        """The number of GPUs as a limit: the expected number never comes from what was detected.

        >>> load("dgx-spark").gpu_count.equals
        1.0
        """
        source = f"`gpu` in profile {self.name}"
        return Limit(name="gpu.count", equals=self.gpu.count, min=self.gpu.at_least, unit="GPU", source=source)

    @property
    def device_count(self) -> Limit:
        """The number of devices that work: the GPUs, or the CPU in a profile without a GPU."""
        if self.uses_gpu:
            return self.gpu_count.model_copy(update={"unit": "device"})
        return Limit(name="gpu.count", equals=1, unit="device", source=f"the CPU, in profile {self.name}")

    def limit(self, name: str) -> Limit:
        """The limit of that name. Raises Inconclusive where the profile has none, which is never a pass.

        >>> load("h200").limit("bandwidth.copy").min
        3800.0
        """
        known = self.all_limits
        if name not in known:
            place = "`own:` in the site profile of --site" if name.startswith(OWN_LIMIT) else "`limits:` in the profile"
            raise Inconclusive(
                f"profile {self.name} has no limit {name!r}: a missing limit is never a pass{_near(name, known)}",
                f'Declare it under {place}, as in {name}: {{min: 1, unit: GiB, basis: derived, source: "why 1"}}',
            )
        return known[name]

    @property
    def all_limits(self) -> dict[str, Limit]:
        """The limits of the profile, and what a lab has declared for its own checks."""
        return self.limits | (self.lab.limits if self.lab else {})

    def peak(self, name: str) -> Bound:
        """The physical peak of that name. Raises Inconclusive where the profile has none.

        >>> load("h200").peak("memory_bandwidth").value
        4800.0
        """
        if name not in self.physical:
            raise Inconclusive(
                f"profile {self.name} has no physical peak {name!r}, so no reading can be compared with it",
                f"Add `{name}` with its value, unit and source under `physical:` in the profile.",
            )
        return self.physical[name]

    @property
    def sha256(self) -> str:
        """Hash of what the profile says, without its comments, spacing and `extends`."""
        # What is not stated is left out, so that profiles of runs before 0.2 keep their hashes.
        unstated: dict[str, Any] = {name: {"basis"} for name, limit in self.limits.items() if limit.basis is None}
        # What a lab declares for its own checks is beside the profile: its own hash is in every report.
        without: dict[str, Any] = {"limits": unstated, "lab": True} | ({"site": True} if self.site is None else {})
        without |= {name: True for name in ("not_applicable_alone", "not_applicable_pair") if not getattr(self, name)}
        content = self.model_dump(mode="json", exclude=without)
        for name in ("memory_gib", "systems", "display_adapter"):
            if content["match"] and not content["match"][name]:
                del content["match"][name]
        for name, standard in (("data_parallel", DataParallel()), ("collectives", Collectives())):
            if getattr(self.workloads, name) == standard:
                del content["workloads"][name]
        kind = content["gpu"].pop("memory")
        content["gpu"]["unified_memory"] = kind == MemoryKind.UNIFIED  # as it was written before there were three kinds
        content["gpu"] |= {"memory": kind} if kind == MemoryKind.COHERENT else {}
        return hashlib.sha256(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _near(name: str, known: Iterable[str]) -> str:
    """What was meant by a limit that is missing, if anything is like it."""
    close = near_miss.closest(name, known)
    return f"; did you mean {close[0]!r}?" if close else ""


def _require_known(name: str, known: list[str], section: str) -> None:
    if name not in known:
        raise ValueError(f"{section}.{name}: unknown name; {near_miss.hint(name, known)}")


def names() -> list[str]:
    """The profiles that ship with the package.

    >>> names()  # doctest: +ELLIPSIS
    ['cpu', 'dgx-a100-40', 'dgx-a100-80', 'dgx-b200', 'dgx-b300', 'dgx-h100', 'dgx-h200', 'dgx-spark', ...]
    """
    return names_in(SHIPPED)


def load(name_or_path: str) -> Profile:
    """Read a shipped profile by name, or any file by path.

    Raises CannotStart naming the file, the key and the nearest right word.

    >>> load("dgx-spark").limit("matmul.tf32").source
    'published: 39.9 TFLOP/s less 25 %; one healthy unit (E27-25/fusionxpark-gb10-hwtest); a stuck unit reaches...'
    """
    path = _path(name_or_path)
    document = inheritance.read(path)
    profile = _of(document, path)
    if path.resolve().parent == SHIPPED.resolve():
        return profile
    if _compared(profile.name) in {*names(), *names_in(BASES), "auto"}:
        raise CannotStart(f"{document.at('name')}: the name {profile.name} ships.", "Give it another `name:`.")
    return profile.model_copy(update={"own": True, "certifies": False})


def _path(name_or_path: str) -> Path:
    if is_file(name_or_path):
        return Path(name_or_path)
    if name_or_path not in names():
        raise CannotStart(
            f"There is no profile {name_or_path[:200]!r}.",
            f"{near_miss.sentence(name_or_path, [*names(), 'auto'])} A file of your own must end in .yaml.",
            "List them: dgxcert profiles",
        )
    return SHIPPED / f"{name_or_path}.yaml"


def parse(text: str, path: Path) -> Profile:
    """Check the text of a profile and of all that it extends; `path` names it in errors. Raises CannotStart.

    >>> own = parse("extends: h200\\ncertifies: false\\nmachine: rack 7\\n", Path("rack-7.yaml"))
    >>> own.name, own.limit("link.width").min
    ('rack-7', 16.0)
    """
    return _of(inheritance.parse(text, path), path)


def _of(document: Document, path: Path) -> Profile:
    """The profile of a file and of all that it extends."""
    documents = inheritance.chain(document, path)
    content = inheritance.resolve(documents)
    content.setdefault("name", path.stem)
    if content.get("site") is not None:
        raise _wrong_keys(documents, ["site: a profile holds no site profile; name its file with --site"])
    if content.get("lab") is not None:
        raise _wrong_keys(documents, ["lab: limits of own checks are declared in a site profile, under `own:`"])
    quantities = _quantities(content, documents)
    if content.get("certifies") is True and (problems := certifying.suppositions(quantities["limits"])):
        raise _wrong_keys(documents, problems)
    for section, entries in quantities.items():
        if entries:
            content[section] = content[section] | _recorded(entries, section, documents)
    for section, order in (("limits", list(QUANTITIES)), ("physical", list(PEAKS))):
        if isinstance(content.get(section), dict):  # sorted, so that the hash does not depend on what was inherited
            content[section] = {name: content[section][name] for name in _sorted(content[section], order)}
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise _wrong_keys(documents, schema_errors.problems(error, Profile)) from error


def _compared(name: str) -> str:
    """A name as it is told from others: not by its case, its spaces or its kind of hyphen.

    >>> _compared("DGX\u2011Spark ")
    'dgx-spark'
    """
    return re.sub(r"[\W_]+", "-", unicodedata.normalize("NFKC", name).casefold()).strip("-")


def _recorded(entries: dict[str, Quantity], section: str, documents: tuple[Document, ...]) -> dict[str, Limit | Bound]:
    """The quantities of a section as runs record them; raises CannotStart where a value makes no limit."""
    recorded: dict[str, Limit | Bound] = {}
    problems: list[str] = []
    for name, entry in entries.items():
        try:
            recorded[name] = entry.recorded(name)
        except ValidationError as error:  # min above max, or a computed limit that is not finite
            problems += schema_errors.problems(error, Limit, (section, name))
    if problems:
        raise _wrong_keys(documents, problems)
    return recorded


def quantities(name_or_path: str) -> dict[str, dict[str, Quantity]]:
    """Limits, physical peaks and memory of a profile as its file writes them, with their basis, which no run keeps.

    >>> quantities("h200")["limits"]["bandwidth.copy"].basis.value
    'measured'
    """
    path = _path(name_or_path)
    documents = inheritance.chain(inheritance.read(path), path)
    return _quantities(inheritance.resolve(documents), documents)


def _quantities(content: dict[str, Any], documents: tuple[Document, ...]) -> dict[str, dict[str, Quantity]]:
    forms: dict[str, type[Quantity]] = {"limits": WrittenLimit, "physical": WrittenPeak, "memory": WrittenPeak}
    quantities: dict[str, dict[str, Quantity]] = {section: {} for section in forms}
    problems: list[str] = []
    for section, form in forms.items():
        for name, entry in _entries(content, section):
            try:
                quantities[section][name] = form.model_validate(entry)
            except ValidationError as error:
                problems += schema_errors.problems(error, form, (section, name))
    for name, limit in quantities["limits"].items():
        if isinstance(limit, WrittenLimit) and limit.name not in (None, name):
            problems.append(f"limits.{name}.name: wanted {name}, found {limit.name}")
    if problems:
        raise _wrong_keys(documents, problems)
    return quantities


def _entries(content: dict[str, Any], section: str) -> list[tuple[str, Any]]:
    """The entries of a section that are quantities; what else there is, the profile's own check names."""
    entries = content.get(section)
    if not isinstance(entries, dict):
        return []
    return [(name, entry) for name, entry in entries.items() if section != "memory" or name in Memory.model_fields]


def _sorted(names: Iterable[str], order: list[str]) -> list[str]:
    """The names in the given order, unknown ones last.

    >>> _sorted(["matmul.bf61", "storage", "host_link"], ["host_link", "storage"])
    ['host_link', 'storage', 'matmul.bf61']
    """
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _wrong_keys(documents: tuple[Document, ...], problems: list[str]) -> CannotStart:
    where = inheritance.place(documents, problems[0])
    return CannotStart(f"{where}: {schema_errors.summary(problems)}", "Fix the file; nothing was run.")
