"""The explanation of a requirement on the terminal: why, when, its limits, what to do, which faults it notices."""

from collections.abc import Iterable, Mapping

from rich.console import Console

from dgxcert.console import print_line
from dgxcert.judgement.evidence import format_quantity
from dgxcert.judgement.limit import NOT_STATED, Limit
from dgxcert.judgement.requirement import Requirement
from dgxcert.plan.explanation import Explanation, Required
from dgxcert.plan.known_faults import CONFIDENCE, Fault
from dgxcert.plan.selection import any_gpu
from dgxcert.plan.spelling import spelled
from dgxcert.report import layout

MOST_WITH_SOURCES = 20
"""Different numbers of several profiles that are shown with their sources; of more, the numbers alone."""
PLACES = {
    "host": "on the machine itself, before anything is built",
    "image": "on the machine itself, once the image is built",
    "work": "in the container, or in this environment",
    "after": "on the machine itself, after the work",
}


def show(explained: Explanation, console: Console) -> None:
    """Print an explanation; lines are wrapped for a terminal, and whole where there is none."""
    first = explained.first
    name = any_gpu(first.key) if len(explained.entries) == 1 else first.id
    print_line(console, f"{name}: {first.title}", "bold")
    _section("Why it matters", [first.why], console)
    _section("When it is measured", _when(explained), console)
    profiles = {each.profile for required in explained.limits.values() for each in required}
    different = sum(len(set(map(_value, required))) for required in explained.limits.values())
    alone = len(profiles) > 1 and different > MOST_WITH_SOURCES
    _section("Limits", _numbers(explained) if alone else _limits(explained), console, hanging=4)
    steps = [f"{number}. {spelled(step)}" for number, step in enumerate(first.remedy, start=1)]
    _commands("What to do if it does not pass", steps, console)
    _section("Known faults that it notices", [_fault(*item) for item in explained.faults.items()], console, hanging=4)
    beside = [", ".join(explained.related)] if explained.related else []
    _section("Beside it", beside, console)
    _commands("Measure it alone", [spelled(f"make validate ONLY='{name}'")], console)


def show_pair(
    requirement: Requirement, limits: Mapping[str, Mapping[str, Limit]], excluded: Mapping[str, str], console: Console
) -> None:
    """Print the explanation of a requirement of two machines that a cable joins.

    `limits` holds those of each profile by name, `excluded` why it does not apply to others.
    """
    print_line(console, f"{requirement.id}: {requirement.title}", "bold")
    _section("Why it matters", [requirement.why], console)
    takes = f"takes about {requirement.takes_s:g} s, and is given up after {requirement.budget_s:g} s"
    _section(
        "When it is measured", ["of two machines that an inventory pairs, once both are validated", takes], console
    )
    numbers = _by_text(
        (f"{name}: {edges(limit)}{f' ({limit.basis.value})' if limit.basis else ''}", profile)
        for profile, each in limits.items()
        for name, limit in each.items()
    )
    lines = [f"{profiles}: {number}" for number, profiles in numbers.items()]
    without = [f"does not apply to {profiles}: {why}" for why, profiles in _by_text(_turned(excluded)).items()]
    exact = ["none of a profile: both machines' results are compared with each other"]
    _section("Limits", [*(lines or exact), *without], console, hanging=4)
    steps = [f"{number}. {spelled(str(step))}" for number, step in enumerate(requirement.remedy, start=1)]
    _commands("What to do if it does not pass", steps, console)
    _commands("Measure it", ["dgxcert room run room.yaml"], console)


def _turned(excluded: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return ((why, profile) for profile, why in excluded.items())


def _section(title: str, lines: list[str], console: Console, hanging: int = 0) -> None:
    if lines:
        layout.heading(title, console)
    for line in lines:
        layout.paragraph(line, console, hanging)


def _commands(title: str, lines: list[str], console: Console) -> None:
    """A section of commands, each on one line, whatever the terminal's width: so it is copied."""
    layout.heading(title, console)
    for line in lines:
        print_line(console, f"  {line}")


def _when(explained: Explanation) -> list[str]:
    """Group, tier, place and time, and the sets of parameters."""
    first = explained.first
    needs = ", only with --weights hub" if first.real_weights else ""
    longer = " and the minutes asked for" if first.resumes else ""
    gate = "; where it does not pass, no work is started" if first.gate else ""
    takes, given_up = (f"{seconds:g} s{longer}" for seconds in (first.takes_s, first.budget_s))
    lines = [
        f"group {first.group}, tier {first.tier.value}{needs}; {PLACES[first.stage.value]}{gate}",
        f"takes about {takes} on a healthy machine, and is given up after {given_up}",
    ]
    if len(explained.entries) > 1:
        cases = dict.fromkeys(any_gpu(entry.key).partition("[")[2].rstrip("]") for entry in explained.entries)
        lines.append(f"{len(cases)} cases: {', '.join(cases)}")
    return lines


def _limits(explained: Explanation) -> list[str]:
    """Each limit in each profile with its basis and source; profiles that say the same share a line."""
    lines = []
    for name, required in explained.limits.items():
        said = _by_text((_value(each), each.profile) for each in required)
        lines += [name, *(f"  {profiles}: {value}" for value, profiles in said.items())]
    lines += _excluded(explained)
    return lines or ["none of a profile: it is compared with a fact, or with a tolerance of arithmetic"]


def _numbers(explained: Explanation) -> list[str]:
    """The numbers alone, each with the profiles that require it."""
    lines = []
    for name, required in explained.limits.items():
        said = _by_text((_number(each), each.profile) for each in required if each.limit is not None)
        lines += [name, *(f"  {number}: {profiles}" for number, profiles in said.items())]
    last = [each.profile for required in explained.limits.values() for each in required][-1]
    source = f"with basis and source: dgxcert explain {explained.first.id} --profile {last}"
    return [*lines, *_excluded(explained), source]


def _excluded(explained: Explanation) -> list[str]:
    said = _by_text(_turned(explained.excluded))
    return [f"does not apply to {profiles}: {why}" for why, profiles in said.items()]


def _by_text(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The profiles of each text, which they share.

    >>> _by_text([(">= 2", "h100"), (">= 3", "h200"), (">= 2", "l40s")])
    {'>= 2': 'h100, l40s', '>= 3': 'h200'}
    """
    profiles: dict[str, list[str]] = {}
    for text, profile in pairs:
        profiles.setdefault(text, []).append(profile)
    return {text: ", ".join(names) for text, names in profiles.items()}


def _value(required: Required) -> str:
    """`at least 13 token/s (derived): 85 % of 273 GB/s`."""
    if required.limit is None:
        return required.origin
    basis = f" ({required.limit.basis.value})" if required.limit.basis else ""
    return f"{edges(required.limit)}{basis}; {required.origin}"


def edges(limit: Limit) -> str:
    """What a limit requires.

    >>> edges(Limit(name="spread", max=0.05, unit="of median", source="two H200"))
    'at most 0.05 of median'
    """
    said = [
        f"{word} {format_quantity(edge)}"
        for word, edge in (("exactly", limit.equals), ("at least", limit.min), ("at most", limit.max))
        if edge is not None
    ]
    return f"{', '.join(said)} {limit.unit}".rstrip()


def _number(required: Required) -> str:
    """`>= 13 token/s, derived`."""
    limit = required.limit
    if limit is None:
        return required.origin
    signs = (("==", limit.equals), (">=", limit.min), ("<=", limit.max))
    numbers = " ".join(f"{sign} {format_quantity(edge)}" for sign, edge in signs if edge is not None)
    return f"{numbers} {limit.unit}, {limit.basis.value if limit.basis else NOT_STATED}"


def _fault(name: str, fault: Fault) -> str:
    """One fault: its id in the catalogue, how it shows, and how reliable the reports are."""
    condition = f", if {fault.only_if}" if fault.only_if else ""
    return f"{name}  {fault.symptom}: {fault.signature}{condition} ({CONFIDENCE[fault.confidence][0]})"
