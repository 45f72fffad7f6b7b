"""Site record: which limits of a profile a site has tightened, from which runs, by whom, as runs keep it.

A profile with it is a shipped one whose limits are replaced by tighter ones, and nothing else: checked whenever it is
read, so that neither a file nor a changed record makes it certify with a looser limit.
"""

import re
from typing import Annotated

from pydantic import Field

from dgxcert.console import counted
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.requirement import OWN_LIMIT
from dgxcert.profiles.day import Day
from dgxcert.profiles.workload_sizes import Part

LEAST_RUNS = 3
"""Runs of good machines that a site profile is made from: two do not show how much they scatter."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]

OwnName = Annotated[str, Field(pattern=rf"^{re.escape(OWN_LIMIT)}[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=100)]
"""The name of a limit for a lab's own check: no limit of the suite begins so."""


class SiteRun(Part):
    """One run that a site's limits were calculated from: its name, its machine, and the SHA-256 of its run.json."""

    name: Text
    hostname: Text
    machine: Text
    """UUIDs of its GPUs, or the host name of a machine without one."""
    sha256: Sha256


class Lab(Part):
    """The limits that a lab has declared for its own checks, as runs record them; none of the profile's own changes."""

    name: Text
    """Of the file that they were read from, without its ending."""
    sha256: Sha256
    """Of that file, as `sha256sum` prints it."""
    who: Text
    made: Day
    limits: Annotated[dict[OwnName, Limit], Field(min_length=1)]

    @property
    def description(self) -> str:
        """Where the limits are from, on one line, for every report."""
        count = f"{counted(len(self.limits), 'limit')} for own checks"
        return f"{count} by site profile {self.name} of {self.who}, {self.made}, SHA-256 {self.sha256}"


class Site(Part):
    """A site profile as runs record it."""

    name: Text
    """Of the file that it was read from, without its ending."""
    sha256: Sha256
    """Of that file, as `sha256sum` prints it."""
    who: Text
    made: Day
    suite_sha256: Sha256
    """The suite that measured its runs."""
    runs: Annotated[tuple[SiteRun, ...], Field(min_length=LEAST_RUNS)]
    shipped_sha256: Sha256
    """Hash of the shipped profile that it tightens."""
    shipped: dict[str, Limit]
    """The limits that it tightens, as they ship."""

    @property
    def machines(self) -> int:
        """How many machines its runs are of."""
        return len({run.machine for run in self.runs})

    @property
    def description(self) -> str:
        """The site profile on one line, for every report.

        `site profile dgx-spark of Ada Lovelace, 2026-11-30, from 3 runs of 3 machines, 24 limits tightened, SHA-256 …`
        """
        machines = counted(self.machines, "machine")
        limits = f"{counted(len(self.shipped), 'limit')} tightened"
        return (
            f"site profile {self.name} of {self.who}, {self.made}, from {len(self.runs)} runs of {machines}, {limits}, "
            f"SHA-256 {self.sha256}"
        )


def problem(shipped: Limit, site: Limit) -> str:
    """Why a site's limit does not tighten the shipped one, or "".

    >>> about = {"name": "swap.used", "unit": "GiB", "source": "a machine at rest swaps out little"}
    >>> problem(Limit(**about, max=2), Limit(**about, max=3))
    'max 3 is looser than the 2 that ships'
    >>> problem(Limit(**about, max=2), Limit(**about, max=1))
    ''
    """
    if (site.name, site.unit) != (shipped.name, shipped.unit):
        return f"wanted the unit that ships, {shipped.unit!r}, found {site.unit!r}"
    if shipped.equals is not None or site.equals is not None:
        return "a limit with `equals` cannot be tightened"
    tighter = False
    for edge, sign in (("min", 1), ("max", -1)):
        ours, theirs = getattr(site, edge), getattr(shipped, edge)
        if (ours is None) != (theirs is None):
            return f"{edge}: wanted {_number(theirs)}, as it ships, or tighter; found {_number(ours)}"
        if ours is not None and sign * ours < sign * theirs:
            return f"{edge} {_number(ours)} is looser than the {_number(theirs)} that ships"
        tighter = tighter or ours != theirs
    least = site.max if site.min is None else site.min
    return "" if tighter else f"it is no tighter than the {_number(least)} that ships"


def _number(edge: float | None) -> str:
    return "none" if edge is None else f"{edge:g}"
