"""The end of a room on the terminal: a screen where all is well, and what is wrong last."""

from pathlib import Path

from rich.console import Console

from dgxcert.console import counted, on_one_line, print_line
from dgxcert.record.room.document import HostResult, Room
from dgxcert.report.layout import columns, heading, paragraph
from dgxcert.report.room import HTML, words

MOST_FIGURES = 8
"""Headline figures of one profile."""
MOST_DIFFERENCES = 8
MOST_OUTLIERS = 12
MOST_HOSTS = 20
"""Hosts that are named of each kind of trouble; more are on the page."""
MOST_STEPS = 2
STYLES = {0: "bold green", 1: "bold red", 2: "bold yellow"}
"""By exit code."""


def show(room: Room, folder: Path, console: Console) -> None:
    """Print the room: what it measured, how machines differ, which pairs and machines did not pass, and the counts."""
    _show_figures(room, console)
    _show_list(console, "Configuration that differs", words.differences(room), MOST_DIFFERENCES)
    _show_list(console, "Outliers", words.outliers(room), MOST_OUTLIERS)
    _show_pairs(room, console)
    _show_list(console, "The same machine twice?", [clash.says for clash in room.clashes], MOST_HOSTS)
    _show_list(console, "Notes", list(room.notes), MOST_DIFFERENCES)
    wrong = sorted((host for host in room.hosts if words.problem(host)), key=words.urgency, reverse=True)
    _show_hosts(wrong, console)
    print_line(console, "")
    print_line(console, f"{folder / HTML}", "dim")
    counts = ", ".join(f"{number} {name}" for name, number in words.counts(room).items())
    print_line(console, f"{counts}. {words.meaning(room)}", STYLES.get(room.exit_code, "bold red"))


def _show_figures(room: Room, console: Console) -> None:
    spreads = words.spreads(room)
    for profile in dict.fromkeys(spread.profile for spread in spreads):
        hosts = sum(host.profile == profile for host in room.hosts)
        heading(f"{on_one_line(profile)}, {counted(hosts, 'machine')}: median, least to most", console)
        mine = [spread for spread in spreads if spread.profile == profile][:MOST_FIGURES]
        rows = [[each.label, f"{each.median} {each.unit}", f"{each.least} to {each.most}"] for each in mine]
        for line in columns(rows):
            paragraph(line, console)


def _show_pairs(room: Room, console: Console) -> None:
    wrong = words.wrong_pairs(room)
    if not room.pairs:
        return
    heading("Pairs", console)
    for line in words.good_pairs(room):
        paragraph(line, console)
    for pair in wrong[-MOST_HOSTS:]:
        paragraph(words.pair_says(pair), console, hanging=2)


def _show_list(console: Console, title: str, lines: list[str], most: int) -> None:
    if not lines:
        return
    heading(title, console)
    for line in lines[:most]:
        paragraph(line, console, hanging=2)
    if len(lines) > most:
        paragraph(f"and {len(lines) - most} more on the page", console)


def _show_hosts(hosts: list[HostResult], console: Console) -> None:
    """The hosts with what is wrong, the worst last; of very many the worst alone."""
    if not hosts:
        return
    heading("What is wrong", console)
    if len(hosts) > MOST_HOSTS:
        paragraph(f"{len(hosts) - MOST_HOSTS} more on the page", console)
    for host in hosts[-MOST_HOSTS:]:
        paragraph(f"{host.name}  {words.standing(host)}: {words.problem(host)}", console, hanging=2)
        for step in host.remedy[:MOST_STEPS]:
            paragraph(f"  {step}", console, hanging=2)
