"""docs/json.md names every command with `--json`, and only members that their documents have."""

import json
import re
from collections.abc import Iterator
from typing import Any

from paths import ROOT

from dgxcert.cli.json_output import schemas

PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `dgxcert (\w+) [^|]*\| [^|]*\| (.*) \|$", PAGE, re.MULTILINE))


def resolved(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects that a part of a schema may be."""
    if "$ref" in part:
        yield from resolved(schema, schema["$defs"][part["$ref"].rpartition("/")[2]])
    for each in part.get("anyOf", ()):
        yield from resolved(schema, each)
    if "items" in part:
        yield from resolved(schema, part["items"])
    if "properties" in part:
        yield part


def has(schema: dict[str, Any], path: str) -> bool:
    parts = [schema]
    for name in path.split("."):
        members = [part["properties"].get(name) for part in parts]
        if not any(members):
            return False
        parts = [each for member in members if member for each in resolved(schema, member)]
    return True


def test_every_command_is_on_the_page() -> None:
    assert set(ROWS) == set(schemas.DOCUMENTS)


def test_every_member_on_the_page_is_in_the_schema() -> None:
    for command, row in ROWS.items():
        schema = json.loads(schemas.schema(command))
        names = re.findall(r"`([a-z_.]+)`", row)
        assert len(names) > 1
        assert [name for name in names if not has(schema, name)] == []
    assert not has(json.loads(schemas.schema("show")), "machine.gpus.color")


def test_the_members_that_the_examples_ask_jq_for_exist() -> None:
    for command, asked in re.findall(r"^dgxcert (\w+) .*? \| jq (.*)$", PAGE, re.MULTILINE):
        schema = json.loads(schemas.schema(command))
        inner = re.search(r"\.(problems|runs)\[\] \|", asked)
        names = set(re.findall(r"(?<![\w\]])\.([a-z_]+(?:(?:\[\])?\.[a-z_]+)*)", asked))
        prefix = f"{inner.group(1)}." if inner else ""
        paths = {name.replace("[]", "") for name in names}
        assert paths
        assert [p for p in paths if not (has(schema, p) or has(schema, prefix + p))] == []
