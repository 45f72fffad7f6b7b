"""Profiles on the terminal: all that ship, and one with every number, its basis and its source."""

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.console import Console

from dgxcert.console import on_one_line, print_line
from dgxcert.judgement import basis_count
from dgxcert.judgement.evidence import format_quantity
from dgxcert.judgement.limit import NOT_STATED, Basis
from dgxcert.machine.identity import MemoryKind
from dgxcert.profiles.profile import FALLBACK, Profile
from dgxcert.profiles.quantity import Quantity
from dgxcert.report import layout
from dgxcert.report.reference.explanation import edges

MEMORY = {
    MemoryKind.SEPARATE: "",
    MemoryKind.COHERENT: ", with memory of their own that the CPU shares",
    MemoryKind.UNIFIED: ", whose memory is the machine's",
}
Written = Mapping[str, Mapping[str, Quantity]]
"""The quantities of a profile's file by section and name."""


def show_all(profiles: Iterable[Profile], console: Console) -> None:
    """Print one row for each profile."""
    rows = [["profile", "certifies", "chosen for", *Basis, "machine"]]
    for profile in profiles:
        counts = (str(by_basis(profile)[basis]) for basis in Basis)
        rows.append([profile.name, "yes" if profile.certifies else "no", chosen_for(profile), *counts, profile.machine])
    lines = layout.columns(rows)
    if console.is_terminal and max(map(len, lines)) > console.width:
        lines = layout.columns([row[:-1] for row in rows])
    for number, line in enumerate(lines):
        print_line(console, line, "dim" if number == 0 else "")
    print_line(console, "Limits by basis. Every number and its source: dgxcert profiles show NAME")


def chosen_for(profile: Profile) -> str:
    """The machine for which `--profile auto` takes a profile: number, model and memory of its GPUs, and its names."""
    if profile.match is not None and not profile.own:
        count = f"{profile.gpu.count} x " if profile.gpu.count else ""
        gib = profile.match.memory_gib
        memory = f" with {gib[0]:g} to {gib[1]:g} GiB" if gib else ""
        systems = f", {' or '.join(profile.match.systems)}" if profile.match.systems else ""
        return f"{count}{profile.match.product}{memory}{systems}"
    return "any other GPU" if profile.name == FALLBACK and not profile.own else "only by name"


def by_basis(profile: Profile) -> dict[str, int]:
    """How many limits have each basis, those that state none too."""
    bases = Counter(limit.basis for limit in profile.limits.values())
    counts = {basis.value: bases[basis] for basis in Basis}
    return counts | ({NOT_STATED: bases[None]} if bases[None] else {})


def show(profile: Profile, written: Written, console: Console) -> None:
    """Print a whole profile; `written` are the quantities of its file, or of the shipped one that a site tightens."""
    print_line(console, on_one_line(f"{profile.name}: {profile.machine}"), "bold")
    layout.paragraph(profile.summary, console)
    for line in _about(profile):
        layout.paragraph(line, console)
    layout.heading("Limits", console)
    for name, limit in profile.limits.items():
        basis = limit.basis.value if limit.basis else NOT_STATED
        tightened = profile.site.shipped.get(name) if profile.site else None
        was = f"; tightened by the site, ships as {edges(tightened)}" if tightened else ""
        source = limit.source.removeprefix(f"{basis}: ") if tightened else written["limits"][name].origin
        layout.paragraph(f"{name}: {edges(limit)} ({basis}{was}); {source}", console, hanging=2)
    for title, section in (("Physical peaks", "physical"), ("Memory", "memory")):
        if written[section]:
            layout.heading(title, console)
        for name, entry in written[section].items():
            bound = profile.physical[name] if section == "physical" else getattr(profile.memory, name)
            basis = entry.basis.value if entry.basis else NOT_STATED
            number = format_quantity(bound.value, bound.unit)
            layout.paragraph(f"{name}: {number} ({basis}); {entry.origin}", console, hanging=2)
    _show_excluded(profile, console)


def _about(profile: Profile) -> list[str]:
    """Whether it certifies, for which GPUs it is chosen, how many it wants, and what a site has tightened."""
    if profile.own:
        certifies = "never certifies: it is a file of your own"
    else:
        certifies = "certifies" if profile.certifies else "does not certify"
    count = edges(profile.gpu_count) if profile.uses_gpu else "none"
    memory = MEMORY[profile.gpu.memory]
    lines = [
        f"{certifies}; chosen for: {chosen_for(profile)}; GPUs: {count}{memory}",
        basis_count.described(by_basis(profile)),
    ]
    return [*lines, *([f"tightened by {profile.site.description}"] if profile.site else [])]


def _show_excluded(profile: Profile, console: Console) -> None:
    """What does not apply, by reason."""
    for title, excluded in (
        ("Does not apply", profile.not_applicable),
        ("Does not apply outside the container", profile.not_applicable_native),
        ("Does not apply where there is one GPU", profile.not_applicable_alone),
        ("Does not apply to two machines with a cable", profile.not_applicable_pair),
    ):
        reasons: dict[str, list[str]] = {}
        for name, reason in excluded.items():
            reasons.setdefault(reason, []).append(name)
        if reasons:
            layout.heading(title, console)
        for reason, names in reasons.items():
            layout.paragraph(f"{reason}: {', '.join(names)}", console, hanging=2)
