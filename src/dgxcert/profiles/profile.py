"""A profile: what a machine of one type must be and reach. One YAML file per type, nothing by default."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.units import PEAKS, QUANTITIES, SPEEDS, nearest
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart, Inconclusive
from dgxcert.profiles.checkpoints import KNOWN
from dgxcert.profiles.workload_sizes import Part, Workloads
from dgxcert.profiles.yaml_reader import StrictLoader

SHIPPED = Path(__file__).parent
FALLBACK = "generic-nvidia"


class Match(Part):
    """What the driver must say of every GPU for `--profile auto` to choose this profile."""

    product: str
    compute_capability: str


class Gpus(Part):
    """How many GPUs there must be, exactly or at the least; zero means that this profile looks at no GPU."""

    count: int | None = Field(default=None, ge=0)
    at_least: int | None = Field(default=None, ge=1)
    unified_memory: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "Gpus":
        if (self.count is None) == (self.at_least is None):
            raise ValueError("give exactly one of `count` and `at_least`")
        return self

    @property
    def expected(self) -> int:
        """The least number of GPUs with which this profile can pass."""
        return self.count if self.count is not None else self.at_least or 1


class Memory(Part):
    """How much work leaves free: `margin` when it is sized, `floor` below which it is stopped. Both in GiB."""

    margin: Bound
    floor: Bound

    @model_validator(mode="after")
    def _in_gib(self) -> "Memory":
        for name, each in (("margin", self.margin), ("floor", self.floor)):
            if each.unit != "GiB" or each.value <= 0 or not each.source.strip():
                raise ValueError(f"{name}: wanted a value above 0 in GiB, with a source")
        if self.floor.value >= self.margin.value:
            raise ValueError("floor must be below margin, or work of the allowed size would be stopped")
        return self


def _text(value: Any) -> Any:
    """YAML reads 12.1 as a number; a version is a word."""
    return str(value) if isinstance(value, float) else value


class Profile(Part):
    """The whole file, checked."""

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
    """What must be in the cache where the Hub is switched off by choice."""
    not_applicable: dict[str, Annotated[str, BeforeValidator(_text)]] = {}
    not_applicable_native: dict[str, Annotated[str, BeforeValidator(_text)]] = {}
    """What does not apply where the work is done without a container."""
    own: bool = False
    """Whether it comes from a user's file: such a profile is applied as it is, and certifies nothing."""

    @model_validator(mode="after")
    def _units_and_names(self) -> "Profile":
        for name, limit in self.limits.items():
            _known(name, list(QUANTITIES), "limits")
            if limit.unit not in QUANTITIES[name]:
                raise ValueError(f"limits.{name}.unit: wanted {' or '.join(QUANTITIES[name])}, found {limit.unit!r}")
        for name, peak in self.physical.items():
            _known(name, list(PEAKS), "physical")
            if peak.unit != PEAKS[name]:
                raise ValueError(f"physical.{name}.unit: wanted {PEAKS[name]}, found {peak.unit!r}")
            if not peak.source.strip():
                raise ValueError(f"physical.{name}.source must say where the number comes from")
        for name in [name for name in self.limits if name.split(".")[0] in SPEEDS]:
            held = self.limits[name]
            if held.min is None or held.max is not None or held.equals is not None:
                raise ValueError(f"limits.{name}: a speed is held to `min` and to nothing else")
        for name in self.checkpoints:
            _known(name, list(KNOWN), "checkpoints")
        if self.certifies and self.gpu.count is None:
            raise ValueError("gpu.count: a profile that certifies must say exactly how many GPUs there are")
        return self

    @property
    def uses_gpu(self) -> bool:
        """Whether this profile looks at a GPU at all."""
        return self.gpu.expected > 0

    def excuses(self, runtime: Runtime) -> dict[str, str]:
        """What does not apply, and why, where the work is done so."""
        return {**self.not_applicable, **(self.not_applicable_native if runtime is Runtime.NATIVE else {})}

    @property
    def gpu_count(self) -> Limit:
        """How many GPUs there must be, as a limit: the expected number never comes from what was detected."""
        source = f"`gpu` in profile {self.name}"
        return Limit(name="gpu.count", equals=self.gpu.count, min=self.gpu.at_least, unit="GPU", source=source)

    @property
    def device_count(self) -> Limit:
        """The same for work on devices: on a profile without a GPU it is the CPU that works."""
        if self.uses_gpu:
            return self.gpu_count.model_copy(update={"unit": "device"})
        return Limit(name="gpu.count", equals=1, unit="device", source=f"the CPU, in profile {self.name}")

    def limit(self, name: str) -> Limit:
        """The limit of that name; raises Inconclusive when the profile has none, which is never a pass."""
        if name not in self.limits:
            raise Inconclusive(
                f"profile {self.name} has no limit {name!r}: a missing limit is never a pass",
                f"Add `{name}` with its number, unit and source under `limits:` in the profile.",
            )
        return self.limits[name]

    def peak(self, name: str) -> Bound:
        """The physical peak of that name; raises Inconclusive when the profile has none."""
        if name not in self.physical:
            raise Inconclusive(
                f"profile {self.name} has no physical peak {name!r}, so no reading can be checked against it",
                f"Add `{name}` with its value, unit and source under `physical:` in the profile.",
            )
        return self.physical[name]

    @property
    def sha256(self) -> str:
        """Hash of the meaning of the profile, whatever its comments and spacing."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _known(name: str, known: list[str], where: str) -> None:
    if name not in known:
        raise ValueError(f"{where}.{name}: unknown name; {nearest(name, known)}")


def names() -> list[str]:
    """The profiles that ship with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load(name_or_path: str) -> Profile:
    """Read a shipped profile by name, or any file by path.

    Raises CannotStart naming file, key and nearest right word.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = SHIPPED / f"{name_or_path}.yaml"
        if not path.is_file():
            raise CannotStart(
                f"There is no profile {name_or_path!r}.",
                f"{nearest(name_or_path, [*names(), 'auto']).capitalize()} A file of your own must end in .yaml.",
            )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"Profile {path} cannot be read: {error}.", "Check the path and its permissions.") from error
    profile = parse(text, path)
    if path.resolve().parent == SHIPPED.resolve():
        return profile
    if profile.name in names():
        raise CannotStart(f"Profile {path} calls itself {profile.name}, which ships.", "Give it another `name:`.")
    return profile.model_copy(update={"own": True, "certifies": False})


def parse(text: str, path: Path) -> Profile:
    """Check the text of a profile; `path` names it in errors. Raises CannotStart."""
    try:
        content = yaml.load(text, Loader=StrictLoader)  # noqa: S506 (a SafeLoader that refuses more)
    except yaml.YAMLError as error:
        raise CannotStart(f"Profile {path} is not YAML: {_one_line(error)}.", "Mend that line.") from error
    if not isinstance(content, dict):
        raise CannotStart(f"Profile {path} holds no keys.", f"Start from one of: {', '.join(names())}.")
    content.setdefault("name", path.stem)
    for name, limit in _entries(content, "limits"):
        limit.setdefault("name", name)
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise CannotStart(f"Profile {path}: {_explain(error)}", "Mend the file; nothing was run.") from error


def _entries(content: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    section = content.get(key)
    if not isinstance(section, dict):
        return []
    return [(str(name), entry) for name, entry in section.items() if isinstance(entry, dict)]


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _explain(error: ValidationError) -> str:
    """The first three problems: key, what is wrong, nearest right word."""
    return "; ".join(_problem(item) for item in error.errors()[:3]) + "."


def _problem(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r}; {nearest(str(item['loc'][-1]), _siblings(item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"missing key {key!r}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _siblings(location: tuple[Any, ...]) -> list[str]:
    """The keys that may stand where an unknown one was found."""
    model: Any = Profile
    for part in location:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            break
        field = model.model_fields.get(str(part))
        if field is None:
            break
        model = field.annotation
    for candidate in (model, *getattr(model, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return list(candidate.model_fields)
    return list(Profile.model_fields)


def choose(gpus: list[tuple[str, str]], candidates: list[Profile] | None = None) -> Profile:
    """The profile for a machine whose driver lists GPUs as (product, compute capability).

    No GPU, or none that a profile knows, gives `generic-nvidia`, whose presence check then has its say:
    a machine without a GPU is never silently rehearsed. Raises CannotStart when two profiles match.
    """
    known = [load(name) for name in names()] if candidates is None else candidates
    matching = [profile for profile in known if gpus and all(_fits(profile, gpu) for gpu in gpus)]
    if len(matching) > 1:
        raise CannotStart(
            f"Profiles {' and '.join(profile.name for profile in matching)} both match {gpus[0][0]}.",
            "Name one with --profile, or make their `match` differ.",
        )
    return matching[0] if matching else load(FALLBACK)


def _fits(profile: Profile, gpu: tuple[str, str]) -> bool:
    product, capability = gpu
    match = profile.match
    return match is not None and match.product == product and match.compute_capability == capability
