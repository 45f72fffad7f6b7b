"""What a run would download: the base image and the packages of an image to be built, and checkpoints of the Hub."""

import re
from collections.abc import Iterable

from dgxcert.container import builder
from dgxcert.machine.runtime import Runtime
from dgxcert.plan import suite
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles.checkpoints import KNOWN, Checkpoint

NOTHING = (("nothing", "no image is built, and no requirement fetches a model"),)
HERE = "here already"
PROBE = "HUB-REACHABLE"
PROBED = "hf-internal-testing/tiny-random-gpt2"
"""What that requirement downloads."""


def read(options: Options, plan: Iterable[Planned]) -> tuple[tuple[str, str], ...]:
    """What would be downloaded and how large it is, as far as that is known before.

    Raises CannotStart where the container engine does not answer, or the stack has no lock.
    """
    running = [entry for entry in plan if entry.runs]
    image = _image(options) if options.runtime is Runtime.DOCKER else ()
    return (*image, *_of_the_hub(running)) or NOTHING


def _image(options: Options) -> tuple[tuple[str, str], ...]:
    """What an image build would download; nothing where the image fits."""
    wanted, existing = builder.recipe(options.stack, options.base), builder.find(options.image_reference)
    if builder.fits(existing, wanted):
        return ()
    base = builder.find(wanted.base)
    size = f"{base.size_bytes / 1e9:.1f} GB, {HERE}" if base else "not here; the registry knows its size"
    why = "does not exist" if existing is None else "does not fit this checkout"
    packages = f"{_packages(options.stack)} of the stack {options.stack}, where the build cache lacks them"
    return ("base image", f"{wanted.base}: {size}"), ("packages", f"{packages}: the image {why}")


def _packages(stack: str) -> str:
    lock = suite.root() / "container" / "stacks" / f"{stack}.lock"
    return f"{len(re.findall(r'^[A-Za-z0-9._-]+==', lock.read_text(encoding='utf-8'), re.MULTILINE))} packages"


def _of_the_hub(running: list[Planned]) -> tuple[tuple[str, str], ...]:
    """The checkpoints that requirements fetch, where the cache lacks them."""
    wanted = [PROBED] if any(entry.id == PROBE for entry in running) else []
    wanted += [entry.key.partition("[")[2].rstrip("]") for entry in running if entry.real_weights]
    repos = [KNOWN[repo] for repo in dict.fromkeys(wanted) if repo in KNOWN]
    return tuple(("checkpoint", f"{each.repo}: {_size(each)}, where the cache lacks it") for each in repos)


def _size(checkpoint: Checkpoint) -> str:
    """The size of its weights.

    >>> _size(KNOWN["gpt2"])
    '548 MB'
    """
    weights = [pinned.size for name, pinned in checkpoint.files.items() if name.endswith(".safetensors")]
    size = sum(each or 0 for each in weights)
    return f"{size / 1e6:.{0 if size > 1e7 else 1}f} MB" if all(weights) and size else "of unknown size"
