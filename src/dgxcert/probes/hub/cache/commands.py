"""The commands with which the installed client lists and removes models, which differ from version to version."""

import re

from dgxcert.probes.hub import settings

BOTH = (
    "List the models in the cache, in `make shell`: hf cache scan (stack course) or hf cache ls (stack current)",
    "Remove those that nobody needs, in `make shell`: hf cache delete (stack course) or hf cache rm MODEL "
    "(stack current)",
    "Remove what downloads have left unfinished, in `make shell`: hf cache prune --dry-run (stack current)",
)
"""Where no client is installed, as on a host that works in containers: by the stack of the image."""


def cleaning() -> tuple[str, ...]:
    """The steps for the installed client."""
    return for_version(settings.version("huggingface-hub"))


def for_version(version: str) -> tuple[str, ...]:
    """The steps for a version of huggingface_hub.

    `hf` came with 0.34; 1.0 has `ls`, `rm` and `prune` in place of `scan` and `delete`, and no huggingface-cli
    (huggingface_hub, docs/source/en/guides/manage-cache.md).

    >>> for_version("0.36.2")[0]
    'List the models in the cache, in `make shell`: hf cache scan'
    >>> for_version("0.30.1")[1]
    'Remove those that nobody needs, in it: huggingface-cli delete-cache'
    """
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None:
        return BOTH
    release = (int(numbers[1]), int(numbers[2]))
    if release >= (1, 0):
        listing, removal = "hf cache ls", "hf cache rm model/NAME"
    elif release >= (0, 34):
        listing, removal = "hf cache scan", "hf cache delete"
    else:
        listing, removal = "huggingface-cli scan-cache", "huggingface-cli delete-cache"
    steps = (
        f"List the models in the cache, in `make shell`: {listing}",
        f"Remove those that nobody needs, in it: {removal}",
    )
    if release >= (1, 0):
        # Also removes revisions that no branch names any more; it asks first, and shows what it would remove.
        return (*steps, "See what downloads have left unfinished, in it: hf cache prune --dry-run")
    return steps
