"""Places: the folders in which the Hub's clients keep models, parts, data sets and code, by the clients' own rules."""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from dgxcert.container import hub_home
from dgxcert.probes.hub import settings

LEGACY = ("TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE", "PYTORCH_PRETRAINED_BERT_CACHE")
"""Variables by which transformers before 5.0 names a cache of its own, in its order (transformers/utils/hub.py)."""


@dataclass(frozen=True)
class Place:
    """A folder of one client, which need not exist yet."""

    name: str
    path: Path
    variable: str
    """The variable that moves it."""
    needed: bool = True
    """Whether a download fails where it cannot be written; the others only cost what they are for."""
    executes: bool = False
    """Whether programs and libraries are run from it."""
    keeps_files: bool = True
    """Whether what is downloaded is written there: hf_xet makes its folders and writes past them, to the Hub cache."""

    def __str__(self) -> str:
        return f"{self.name} ({self.path})"


def all_of_them() -> list[Place]:
    """Every place that the installed clients write to, as the variables of this process have them."""
    hub = hub_cache()
    found = [Place("the Hub cache", hub, "HF_HUB_CACHE"), Place("its locks", hub / ".locks", "HF_HUB_CACHE")]
    if variable := legacy_variable():
        models = models_cache()
        found += [Place(f"the cache of {variable}", models, variable)] if models != hub else []
    if not settings.is_true("HF_HUB_DISABLE_XET") and settings.version("hf-xet"):
        found.append(Place("the cache of Xet", _constant("HF_XET_CACHE", hub_home.home() / "xet"), "HF_XET_CACHE",
                           keeps_files=False))  # fmt: skip
    if settings.version("datasets"):
        datasets = data_sets()
        downloads = _named("HF_DATASETS_DOWNLOADED_DATASETS_PATH", datasets / "downloads")
        found += [
            Place("the cache of data sets", datasets, "HF_DATASETS_CACHE"),
            Place("downloads of data sets", downloads, "HF_DATASETS_CACHE"),
        ]
    return [*found, *_optional()]


def _optional() -> list[Place]:
    """Places that only some work needs, as far as they exist or a variable names them."""
    shared = hub_home.expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    known = [
        Place("assets", _constant("HF_ASSETS_CACHE", hub_home.home() / "assets"), "HF_ASSETS_CACHE", False),
        Place("code of models", _named("HF_MODULES_CACHE", hub_home.home() / "modules"), "HF_MODULES_CACHE", False),
        Place("torch.hub", _named("TORCH_HOME", shared / "torch"), "TORCH_HOME", False),
        Place("kernels of Triton", _named("TRITON_CACHE_DIR", Path("~/.triton/cache").expanduser()), "TRITON_CACHE_DIR",
              False, True),
        Place("kernels of torch.compile", _named("TORCHINDUCTOR_CACHE_DIR", Path(tempfile.gettempdir())),
              "TORCHINDUCTOR_CACHE_DIR", False, True),
    ]  # fmt: skip
    return [place for place in known if os.environ.get(place.variable) or place.path.exists()]


def _named(variable: str, default: Path) -> Path:
    """The folder that a variable names, as datasets and torch read it: neither `~` nor other variables are expanded."""
    return Path(os.environ.get(variable) or default).absolute()


def _constant(name: str, default: Path) -> Path:
    """A folder as the installed huggingface_hub has it; the default where it is not installed, or too old for it."""
    try:
        constants = import_module("huggingface_hub.constants")
    except Exception:  # whatever a broken package raises on import: the step `download` reports it
        return default.absolute()
    return Path(getattr(constants, name, default)).absolute()


def hub_cache() -> Path:
    """The cache of huggingface_hub, by its own constant."""
    return _constant("HF_HUB_CACHE", hub_home.cache())


def data_sets() -> Path:
    """The folder in which `load_dataset` keeps what it has prepared."""
    return _named("HF_DATASETS_CACHE", hub_home.home() / "datasets")


def legacy_variable() -> str:
    """The variable that names a cache for transformers alone; empty without one, or where transformers ignores it."""
    named = [name for name in LEGACY if os.environ.get(name)]
    if not named:
        return ""
    source = _source_of_transformers()
    return next((name for name in named if f'"{name}"' in source), "")


def _source_of_transformers() -> str:
    """The module in which transformers reads its variables; its text, because importing it takes seconds."""
    spec = find_spec("transformers")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        with contextlib.suppress(OSError):
            return (Path(folder) / "utils" / "hub.py").read_text(encoding="utf-8")
    return ""


def models_cache() -> Path:
    """The folder in which a notebook's `from_pretrained` looks for models: the Hub cache, or that of transformers."""
    variable = legacy_variable()
    return Path(os.environ[variable]).absolute() if variable else hub_home.cache()
