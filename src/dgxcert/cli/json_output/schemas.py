"""The schema of each document, as docs/schemas holds it."""

import json

from dgxcert.cli.json_output.certificate import Drift, Verification
from dgxcert.cli.json_output.comparison import Comparison
from dgxcert.cli.json_output.doctor import Doctor
from dgxcert.cli.json_output.document import Document
from dgxcert.cli.json_output.history import History
from dgxcert.cli.json_output.hub import Cache, Hub
from dgxcert.cli.json_output.requirements import Requirements
from dgxcert.cli.json_output.run import ShownRun

DOCUMENTS: dict[str, type[Document]] = {
    "list": Requirements,
    "show": ShownRun,
    "history": History,
    "compare": Comparison,
    "verify": Verification,
    "drift": Drift,
    "hub": Hub,
    "cache": Cache,
    "doctor": Doctor,
}
"""Every command that has `--json`."""


def schema(command: str) -> str:
    """The JSON Schema of what a command prints with `--json`."""
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **DOCUMENTS[command].model_json_schema(mode="serialization"),
        "title": f"dgxcert {command} --json",
    }
    return json.dumps(about, indent=1) + "\n"
