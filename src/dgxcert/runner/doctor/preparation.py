"""Preparation: what a run needs and no requirement is about: the engine's clients, an image, a plausible clock."""

import platform
from datetime import datetime
from typing import NamedTuple

from dgxcert.container import builder, engine
from dgxcert.outcome import CannotStart
from dgxcert.plan.options import Options
from dgxcert.runner.doctor.findings import Effect, Finding

CLOCK = "Check the clock: timedatectl; then turn on time synchronisation: sudo timedatectl set-ntp true"
BUILD_DATE = "%b %d %Y"
PINNED_BASE = "about 10 GB"
"""What of the pinned base image is downloaded, as the profiles say at `disk.images`."""


class Answer(NamedTuple):
    """What a run will do about its image, and what is wrong with it."""

    sentence: str
    findings: list[Finding]


def clients() -> Finding:
    """Whether there are a docker client that builds and a compose."""
    title = "The clients of the engine build an image and run its services"
    try:
        engine.docker()
        engine.compose()
    except CannotStart as error:
        return Finding(name="clients", title=title, effect=Effect.STOPS, problem=error.problem, remedy=error.remedy)
    return Finding(name="clients", title=title, effect=Effect.NONE)


def clock(now: datetime, built: str = platform.python_build()[1]) -> Finding:
    """Whether the clock is after the day on which this Python was built, `Nov 12 2025 10:00:00`.

    >>> clock(datetime(2020, 1, 1), "Nov 12 2025 10:00:00").problem
    'the clock says 2020-01-01, and this Python was built on 2025-11-12'
    """
    title = "The clock is not before what runs here"
    try:
        day = datetime.strptime(" ".join(built.split()[:3]), BUILD_DATE)
    except ValueError:  # a distribution that leaves the day out
        return Finding(name="clock", title=title, effect=Effect.NONE)
    if now.date() >= day.date():
        return Finding(name="clock", title=title, effect=Effect.NONE)
    problem = f"the clock says {now.date()}, and this Python was built on {day.date()}"
    return Finding(name="clock", title=title, effect=Effect.REJECTS, problem=problem, remedy=(CLOCK,))


def image(options: Options) -> Answer:
    """What a run will do about its image; the engine answers. Raises CannotStart where it does not."""
    reference = options.image_reference
    wanted = builder.recipe(options.stack, options.base)
    existing = builder.find(reference)
    if builder.fits(existing, wanted):
        return Answer(f"image {reference} fits this suite and will be reused", [])
    why = "does not exist yet" if existing is None else "does not fit this suite"
    if options.build:
        size = f" ({PINNED_BASE})" if not options.base else ""
        base = "which is here" if builder.find(wanted.base) else f"which will be downloaded first{size}"
        return Answer(f"image {reference} {why}: a run builds it on its base image, {base}", [])
    return Answer("", [no_image(f"image {reference} {why}, and --no-build was given", "Build it: make image")])


def no_image(problem: str, *remedy: str) -> Finding:
    """The finding of a run that has no image to work in."""
    title = "There is an image to work in, or one can be built"
    return Finding(name="image", title=title, effect=Effect.STOPS, problem=problem, remedy=remedy)
