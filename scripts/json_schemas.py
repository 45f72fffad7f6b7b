"""The schemas of `--json`, docs/schemas/NAME.json, made from the documents of `dgxcert.cli.json_output`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dgxcert.cli.json_output import schemas

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"


def pages() -> dict[Path, Callable[[], str]]:
    """The files, each with what makes its text."""
    return {FOLDER / f"{command}.json": partial(schemas.schema, command) for command in schemas.DOCUMENTS}
