"""Generate the documents that are made from the code: `make docs`; with --check, only report which are stale."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import fault_catalogue
import file_map
import json_schemas
import rehearsal_page
import sensitivity
import typer

from dgxcert import cli
from dgxcert.cli.usage import declaration
from dgxcert.judgement.evidence import format_quantity
from dgxcert.judgement.limit import Basis, Limit
from dgxcert.judgement.requirement import Requirement
from dgxcert.plan import suite
from dgxcert.plan.catalogue import Entry
from dgxcert.profiles import certifying, profile
from dgxcert.profiles.quantity import Quantity
from dgxcert.record.room import document as room_document
from dgxcert.record.run import Run
from dgxcert.room.pairs import requirements as pairs

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE = "<!-- Made by `make docs`; change the code, not this file. -->"


def schema() -> str:
    """The JSON Schema of run.json."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Run.model_json_schema(mode="serialization")}
    return json.dumps(made, indent=1) + "\n"


GROUPS = {
    "host": "Host",
    "gpu": "GPU",
    "links": "Links",
    "hub": "Hub",
    "stack": "Stack",
    "course": "Course",
    "benchmarks": "Benchmarks",
}
"""Every group of requirements in the order of the page: its folder, and its heading."""
PAIRS = "No machine's own plan has these: `dgxcert room run` tests them of two machines that its inventory pairs."


def requirements() -> str:
    """Every requirement by group: what must be true, why, how long it takes, what to do."""
    groups = _by_group(suite.collect(suite.root(), gpus=1))
    lines = ["# Requirements", "", MADE, "", "| group | requirements |", "| --- | --- |"]
    lines += [f"| {GROUPS[group]} | {', '.join(map(_link, entries))} |" for group, entries in groups.items()]
    lines.append(f"| [Pairs](#pairs) | {', '.join(map(_link, pairs.ALL))} |")
    for group, entries in groups.items():
        lines += ["", f"## {GROUPS[group]}", ""]
        lines += [line for entry in entries for line in _section(entry)]
    lines += ["", "## Pairs", "", PAIRS, ""]
    lines += [line for requirement in pairs.ALL for line in _section(requirement)]
    return "\n".join(lines).rstrip() + "\n"


def _by_group(entries: list[Entry]) -> dict[str, list[Entry]]:
    """The first entry of each id, by group in the order of GROUPS; raises KeyError for a group that has no heading."""
    first = {entry.id: entry for entry in reversed(entries)}
    groups: dict[str, list[Entry]] = {group: [] for group in GROUPS}
    for entry in reversed(first.values()):
        groups[entry.group].append(entry)
    return groups


def _link(entry: Requirement) -> str:
    """A link to the heading of a requirement, as GitHub makes its anchor."""
    return f"[{entry.id}](#{entry.id.lower()})"


def _section(entry: Requirement) -> list[str]:
    times = f"Tier {entry.tier.value}, takes about {entry.takes_s:g} s, times out after {entry.budget_s:g} s."
    steps = [f"{number}. {step}" for number, step in enumerate(entry.remedy, start=1)]
    return [f"### {entry.id}", "", f"**{entry.title}.** {entry.why}", "", f"*{times}*", "", *steps, ""]


def profiles() -> str:
    """Every profile: what it expects, each limit with its basis and source, what does not apply."""
    lines = ["# Profiles", "", MADE, ""]
    for name in profile.names():
        loaded, written = profile.load(name), profile.quantities(name)
        gpus = loaded.gpu_count
        bases = Counter(limit.basis for limit in loaded.limits.values())
        counts = ", ".join(f"{bases[basis]} {basis.value}" for basis in Basis)
        lines += [
            f"## {name}",
            "",
            loaded.summary,
            "",
            f"Limits: {counts}.",
            "",
            _certifies(loaded, written["limits"]),
            "",
            "| limit | required | basis | where the number comes from |",
        ]
        lines += ["| --- | --- | --- | --- |", f"| {gpus.name} | {_edges(gpus)} | | {gpus.source} |"]
        lines += [_row(each.name, _edges(each), written["limits"][each.name]) for each in loaded.limits.values()]
        for word, meaning in {"margin": "work leaves free", "floor": "below this work is stopped"}.items():
            bound = getattr(loaded.memory, word)
            lines.append(
                _row(f"memory {word} ({meaning})", format_quantity(bound.value, bound.unit), written["memory"][word])
            )
        lines += ["", "| physical peak | value | basis | where the number comes from |", "| --- | --- | --- | --- |"]
        for peak, at in loaded.physical.items():
            lines.append(_row(peak, format_quantity(at.value, at.unit), written["physical"][peak]))
        lines += ["", "Does not apply:", "", *(f"- {key}: {why}" for key, why in loaded.not_applicable.items()), ""]
    return "\n".join(lines)


def _certifies(loaded: profile.Profile, limits: dict[str, Quantity]) -> str:
    """Whether a profile certifies, and why."""
    if not loaded.uses_gpu:
        return "It certifies nothing: it uses no GPU."
    supposed = certifying.reasons(limits)
    if loaded.certifies:
        return f"It certifies: {supposed}"
    number = "" if loaded.gpu.count is not None else " It takes any number of GPUs."
    return f"It certifies nothing: {supposed}{number} Runs of known-good machines may replace what is not measured."


def _row(name: str, value: str, entry: Quantity) -> str:
    return f"| {name} | {value} | {entry.basis.value if entry.basis else ''} | {entry.origin} |"


def _edges(limit: Limit) -> str:
    edges = {"exactly": limit.equals, "at least": limit.min, "at most": limit.max}
    said = [
        f"{word} {value:g}" if isinstance(value, float) else f"{word} {value}"
        for word, value in edges.items()
        if value is not None
    ]
    return f"{', '.join(said)} {limit.unit}".rstrip()


def commands() -> str:
    """Every command by group: what it does, an example, its options."""
    root: Any = typer.main.get_command(cli.app)
    shown = declaration.leaves(root)
    lines = ["# Commands", "", MADE, "", root.help, "", *_options(root.params), ""]
    for group, heading in declaration.GROUPS.items():
        members = {name: each for name, each in shown.items() if declaration.group_of(each) == group}
        lines += [f"## {heading}", "", "| command | what it does |", "| --- | --- |"]
        lines += [
            f"| [`{name}`](#dgxcert-{name.replace(' ', '-')}) | {declaration.summary(each)} |"
            for name, each in members.items()
        ]
        lines += [line for name, each in members.items() for line in ["", *_command(name, each)]]
        lines.append("")
    return "\n".join(lines)


def _command(name: str, command: Any) -> list[str]:
    example = ["```", command.epilog, "```"]
    return [
        f"### dgxcert {name}",
        "",
        command.help,
        "",
        *example,
        *([""] if command.params else []),
        *_options(command.params),
    ]


def _options(parameters: list[Any]) -> list[str]:
    """The table of options and arguments; none where there are none."""
    shown = [each for each in parameters if not each.hidden]
    rows = [f"| {_written(each)} | {each.help} | {_default(each)} |" for each in shown]
    return ["| option | meaning | default |", "| --- | --- | --- |", *rows] if rows else []


def _written(parameter: Any) -> str:
    words = (
        [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else [parameter.metavar]
    )
    return f"`{', '.join(words)}`"


def _default(parameter: Any) -> str:
    value = parameter.default
    if isinstance(value, bool):  # the flag that counts where none is typed; one that only switches on says nothing
        flags = parameter.opts if value else parameter.secondary_opts
        return f"`{flags[-1]}`" if flags else ""
    return "" if value in (None, "", ...) else f"`{getattr(value, 'value', value)}`"


PAGES = {
    DOCS / "run.schema.json": schema,
    DOCS / "room.schema.json": room_document.schema,
    DOCS / "requirements.md": requirements,
    DOCS / "profiles.md": profiles,
    DOCS / "commands.md": commands,
    DOCS / "faults.md": fault_catalogue.page,
    DOCS / "sensitivity.md": sensitivity.page,
    **json_schemas.pages(),
    DOCS / "file-map.md": file_map.page,
    DOCS / "rehearsal.md": rehearsal_page.page,
}


def stale() -> list[str]:
    """The pages that do not match the code."""
    return [path.name for path, make in PAGES.items() if not _same(path, make())]


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main() -> None:
    """Generate the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    if not parser.parse_args().check:
        for path, make in PAGES.items():
            path.write_text(make(), encoding="utf-8")
    elif outdated := stale():
        sys.exit(f"stale: {', '.join(outdated)}. Regenerate them: make docs")


if __name__ == "__main__":
    main()
