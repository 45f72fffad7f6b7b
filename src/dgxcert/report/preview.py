"""A preview of a run on the terminal: what would be measured, what not, what that downloads and needs."""

from rich.console import Console

from dgxcert.console import counted, print_line
from dgxcert.machine.runtime import Runtime
from dgxcert.plan.estimate import duration
from dgxcert.plan.preview import Preview
from dgxcert.report import layout

REASONS = 8
"""Reasons that are shown; `dgxcert list` and the profile have all."""


def show(preview: Preview, console: Console) -> None:
    """Print a preview."""
    options, profile = preview.options, preview.profile
    print_line(console, "Dry run: nothing is measured, nothing is written.")
    because = f", since {options.runtime_because}" if options.runtime_because else ""
    where = (
        f"the container image {options.image_reference}" if options.runtime is Runtime.DOCKER else "this environment"
    )
    layout.paragraph(f"profile  {profile.name} ({profile.machine}), tier {options.tier.value}", console, hanging=9)
    layout.paragraph(f"work     in {where}{because}", console, hanging=9)
    _running(preview, console)
    _left_out(preview, console)
    layout.heading("Downloads", console)
    _rows(preview.downloads, console)
    layout.heading("Needs", console)
    _rows(preview.needs, console)


def _running(preview: Preview, console: Console) -> None:
    layout.heading(f"Would run: {len(preview.running)} in about {duration(preview.seconds)}", console)
    layout.paragraph(_basis(preview), console)
    rows = [
        [
            group.name,
            counted(group.requirements, "requirement"),
            counted(group.cases, "case"),
            f"about {duration(group.seconds)}",
        ]
        for group in preview.groups
    ]
    for row in layout.columns(rows):
        layout.paragraph(row, console)


def _basis(preview: Preview) -> str:
    """Where the time comes from, and what it leaves out."""
    here, all_ = preview.from_here, len(preview.running)
    if here == all_:
        source = "as in earlier runs of this machine"
    elif here:
        source = f"{here} as in earlier runs of this machine, the rest as declared"
    else:
        source = "as declared: this machine has no earlier run of this kind"
    builds = any(word == "packages" for word, _ in preview.downloads)
    return f"{source}{'; downloads and the image build come on top' if builds else ''}"


def _left_out(preview: Preview, console: Console) -> None:
    left_out = preview.left_out
    if not left_out:
        return
    layout.heading(f"Would not run: {sum(map(len, left_out.values()))}", console)
    for number, (reason, entries) in enumerate(left_out.items()):
        if number == REASONS:
            rest = sum(len(each) for each in list(left_out.values())[REASONS:])
            layout.paragraph(f"{rest:>4}  for {len(left_out) - REASONS} other reasons", console, hanging=6)
            break
        layout.paragraph(f"{len(entries):>4}  {reason}", console, hanging=6)


def _rows(rows: tuple[tuple[str, str], ...], console: Console) -> None:
    width = max(len(word) for word, _ in rows)
    for word, what in rows:
        layout.paragraph(f"{word:{width}}  {what}", console, hanging=width + 2)
