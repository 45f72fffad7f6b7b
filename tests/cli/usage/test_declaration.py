"""Every command has a group, a summary that is not cut and an example that its own parser takes; -h shows them."""

import shlex
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from dgxcert import cli
from dgxcert.cli.usage import declaration


def all_commands() -> dict[str, Any]:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, TyperGroup)
    return declaration.leaves(group)


DECLARED = all_commands()
TOP = {name: each for name, each in typer.main.get_group(cli.app).commands.items() if not declaration.is_hidden(each)}
COMMAND = pytest.mark.parametrize("name", DECLARED)


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@COMMAND
def test_a_command_has_a_group_and_a_short_summary(name: str) -> None:
    assert declaration.group_of(DECLARED[name]) in declaration.GROUPS
    summary = declaration.summary(DECLARED[name])
    assert 0 < len(summary) <= declaration.SUMMARY_CHARS
    assert summary.endswith(".")


@COMMAND
def test_an_example_is_what_its_command_takes(name: str) -> None:
    words = ["dgxcert", *name.split()]
    typed = shlex.split(DECLARED[name].epilog)
    rest = typed[len(words) :]
    assert typed[: len(words)] == words
    command = DECLARED[name]
    values, extra, _ = command.make_parser(typer.Context(command)).parse_args(rest)
    assert extra == []
    for parameter in command.params:
        given = values.get(parameter.name)
        assert given or not parameter.required, parameter.name
        choices = [getattr(each, "value", each) for each in parameter.type_descriptor.choices or ()]
        assert not given or not choices or given in choices


@COMMAND
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_of_a_command_ends_with_its_example(dgxcert, name: str, option: str) -> None:
    shown = dgxcert(*name.split(), option)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"Usage: dgxcert {name} [OPTIONS]")
    assert shown.out.rstrip().endswith(f"Example:\n  {DECLARED[name].epilog}")
    assert "-h, --help" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_shows_every_command_once_in_its_group(dgxcert, option: str) -> None:
    shown = dgxcert(option)
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    for group, heading in declaration.GROUPS.items():
        after = lines[lines.index(f"{heading}:") + 1 :]
        section = after[: after.index("")]
        members = {name: each for name, each in TOP.items() if declaration.group_of(each) == group}
        assert [line.split(maxsplit=1) for line in section] == [
            [name, declaration.summary(each)] for name, each in members.items()
        ]
    assert shown.out.rstrip().endswith("Example:\n  dgxcert validate --tier quick")
    assert max(map(len, lines)) <= 80


def test_without_a_command_the_help_is_shown_and_nothing_counts_as_certified(dgxcert) -> None:
    shown = dgxcert()
    assert (shown.code, shown.out) == (3, "")
    assert shown.err == dgxcert("-h").out


def test_the_version_names_the_package_the_commit_and_the_suite(dgxcert) -> None:
    from dgxcert.plan import suite

    identity = suite.identity(suite.root())
    shown = dgxcert("--version")
    package, commit, hashed = shown.out.splitlines()
    assert (shown.code, shown.err) == (0, "")
    assert package == f"dgxcert {identity.version}"
    assert commit.startswith(f"commit  {identity.commit}, ")
    assert hashed == f"suite   sha256:{identity.sha256}"
