"""summary.md of a room, for a CI job summary: every machine with its word, the worst first."""

from dgxcert.record.room.document import HostResult, Room
from dgxcert.report.markdown import cell
from dgxcert.report.room import words

MOST_ROWS = 500
MOST_LINES = 200
REASON_CHARS = 600


def render(room: Room) -> str:
    """The room as Markdown."""
    counted = " · ".join(f"{number} {name}" for name, number in words.counts(room).items())
    lines = [f"# {cell(words.meaning(room))}", "", f"Room {cell(room.name)}: {cell(counted)}", ""]
    lines += _list("Outliers", words.outliers(room))
    lines += _list("The same machine twice?", [clash.says for clash in room.clashes])
    lines += _list("Pairs that did not pass", [words.pair_says(pair) for pair in words.wrong_pairs(room)])
    lines += _list("Pairs", words.good_pairs(room))
    lines += ["## Machines", "", "| machine | verdict | profile | what is wrong |", "| --- | --- | --- | --- |"]
    hosts = sorted(room.hosts, key=words.urgency)
    lines += [_row(host) for host in hosts[:MOST_ROWS]]
    lines += ["", f"… and {len(hosts) - MOST_ROWS} more, which passed.", ""] if len(hosts) > MOST_ROWS else [""]
    lines += _figures(room)
    lines += _list("What differs in configuration", words.differences(room))
    lines += _list("Notes", room.notes)
    return "\n".join(lines).rstrip("\n") + "\n"


def _row(host: HostResult) -> str:
    wrong = cell(words.problem(host), REASON_CHARS)
    return f"| {cell(host.name)} | {cell(words.standing(host))} | {cell(host.profile)} | {wrong} |"


def _figures(room: Room) -> list[str]:
    spreads = words.spreads(room)
    if not spreads:
        return []
    rows = [
        f"| {cell(each.label)} | {cell(each.profile)} | **{each.median}** {cell(each.unit)} "
        f"| {each.least} to {each.most} | {each.hosts}{f', {each.failed} failed' if each.failed else ''} |"
        for each in spreads
    ]
    head = ["| figure | profile | median | least to most | machines |", "| --- | --- | --- | --- | --- |"]
    return ["## Headline figures", "", *head, *rows, ""]


def _list(title: str, lines: "list[str] | tuple[str, ...]") -> list[str]:
    if not lines:
        return []
    more = [f"- … and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return [f"## {title}", "", *(f"- {cell(line, REASON_CHARS)}" for line in lines[:MOST_LINES]), *more, ""]
