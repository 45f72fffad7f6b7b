"""The origin of a run: whether its plan and its profile are those of the suite that it names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from dgxcert.container import builder
from dgxcert.judgement.requirement import OWN_ID
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart
from dgxcert.plan import selection, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.suite import Suite
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.record.journal import Opened
from dgxcert.runner import session

Answer = TypeVar("Answer")
Known = dict[object, object]
_known: ContextVar[Known | None] = ContextVar("known", default=None)


@contextmanager
def remembered() -> Iterator[Known]:
    """Ask this suite for its identity and its requirements once, however many runs are compared with them inside."""
    known: Known = {}
    token = _known.set(known)
    try:
        yield known
    finally:
        _known.reset(token)


def remember(known: Known) -> None:
    """Use what another process has asked of this suite, for as long as this process lives."""
    _known.set(known)


def _once(question: object, ask: Callable[[], Answer]) -> Answer:
    known = _known.get()
    if known is None:
        return ask()
    if question not in known:
        known[question] = ask()
    return known[question]  # type: ignore[return-value]  # what this question was answered with


def is_ours(made_by: Suite) -> bool:
    """Whether a run was made by this very suite, so that its plan and profile can be made again."""
    return made_by.sha256 == ours().sha256


def ours() -> Suite:
    """The suite that this dgxcert would measure with."""
    return _once("identity", lambda: suite.identity(suite.root()))


def another_suite(made_by: Suite) -> CannotStart:
    """That a run was made by another suite than this one, whose certificate this one must not make."""
    commit = f"git checkout {made_by.commit}" if made_by.commit else "use the dgxcert that made it"
    return CannotStart(
        f"The run was made by another suite (version {made_by.version}, commit {made_by.commit or 'unknown'}, SHA-256 "
        f"{made_by.sha256[:12]}; here {ours().sha256[:12]}): whether its plan is whole cannot be told here.",
        f"Sign it with the suite that made it: {commit}",
    )


def problems(opened: Opened, image: Image | None) -> list[str]:
    """How plan, profile, image and suite of a run differ from those of this suite, which made it; empty if nowhere."""
    found = [*filter(None, [profile_problem(opened.profile)]), *_plan_problems(opened), *own_problems(opened)]
    if image is not None and (wrong := builder.contradiction(image, opened.suite.package_sha256)):
        found.append(wrong)
    here = ours()
    if here.modified and opened.suite.modified is False:
        found.append(f"its suite is said not to be modified, and it is: {here.reason}")
    return found


def profile_problem(profile: Profile) -> str:
    """How a profile that is not a user's own differs from the one that ships under its name; "" where it does not.

    What a site has tightened is no difference: a profile does not load where a site's limit is looser.
    """
    if profile.own:
        return ""  # it certifies nothing
    if profile.name not in profiles.names():
        return f"no profile {profile.name} ships with dgxcert, and it is not marked as a user's own"
    shipped, used = profiles.load(profile.name), profile.without_site
    if used == shipped:
        return ""
    parts = [name for name in Profile.model_fields if getattr(used, name) != getattr(shipped, name)]
    limits = [
        f"limits.{name}"
        for name in sorted({*used.limits, *shipped.limits})
        if used.limits.get(name) != shipped.limits.get(name)
    ]
    differing = [*(name for name in parts if name != "limits"), *limits]
    return f"its profile {profile.name} is not the one that ships: {_shown(differing)} differ"


def _plan_problems(opened: Opened) -> list[str]:
    """What a plan lacks, adds or changes, compared with the one that this suite makes for the same options."""
    name = opened.profile.name
    profile = profiles.load(name) if name in profiles.names() and not opened.profile.own else opened.profile
    gpus, displays = session.gpus_to_test(profile, opened.machine), session.display_adapters(profile, opened.machine)
    collected = _once((gpus, displays), lambda: suite.collect(suite.root(), gpus, without=displays))
    catalogue = [*collected]
    catalogue += [Entry(**entry.model_dump(include=set(Entry.model_fields))) for entry in opened.plan if entry.own]
    plan = selection.make(catalogue, profile, opened.options, profile.gpus_in(opened.machine))
    due = {entry.key: entry for entry in plan}
    planned = {entry.key: entry for entry in opened.plan}
    found = []
    if lacking := [key for key in due if key not in planned]:
        found.append(f"its plan lacks {_shown(lacking)} of {len(due)} requirements of its suite")
    if added := [key for key in planned if key not in due]:
        found.append(f"its plan has {_shown(added)}, which its suite does not have")
    if changed := [key for key, entry in planned.items() if key in due and entry != due[key]]:
        found.append(f"its plan differs from that of its suite in {_shown(changed)}")
    return found


def own_problems(opened: Opened) -> list[str]:
    """How what a plan says of a lab's own checks cannot be: they have ids of their own, and are those of a folder."""
    own = [entry for entry in opened.plan if entry.own]
    found = [f"{entry.key[:100]} is said to be a lab's own check" for entry in own if not entry.id.startswith(OWN_ID)]
    if bool(own) != (opened.own is not None):
        found.append("its plan and its folder of own checks do not fit")
    return found[:1]


def _shown(names: list[str]) -> str:
    """The first names of a list, and how many more there are.

    >>> _shown(["A", "B", "C", "D", "E"])
    'A, B, C and 2 more'
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
