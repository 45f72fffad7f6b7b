"""What somebody else may have made is read in one way: by `files/untrusted.py`, with limits and through no link."""

import ast
from pathlib import Path

import pytest
from paths import ROOT

PACKAGE = ROOT / "src" / "dgxcert"
PACKAGES = ("history", "record", "report", "certificate", "cli", "site")
WAYS = {"open", "read_text", "read_bytes", "load", "loads", "glob", "rglob", "iterdir", "listdir", "scandir", "walk"}
"""Names of functions and methods that read files, list folders or parse JSON, whoever offers them."""
SAFE = {"untrusted", "Folder"}
"""Those of these names have limits and follow no link."""
LOADERS = {"load", "loads"}
"""Names that only json, yaml and pickle make dangerous."""

ALLOWED = {
    "certificate/bundle.py": {
        "PASSWD.read_text": "a file of the system",
        "folder.rglob": "names alone; each is looked at before it is read",
        "os.walk": "names alone; each is looked at before it is read",
        "os.open": "the archive, which is written",
        "path.open": "the archive, which is written",
        "tarfile.open": "the archive, which is written",
        "path.read_bytes": "kept by the report of the driver, which the user names",
    },
    "certificate/evidence_files.py": {
        "holder.open": "a Folder",
        "holder.read_bytes": "a Folder",
    },
    "certificate/redaction.py": {"json.loads": "text that was read with a limit; what is no JSON is redacted as text"},
    "certificate/room/signed_room.py": {
        "ssh_signature.sign(path, key, NAMESPACES[signed.kind], say).read_text": "what ssh-keygen has just written"
    },
    "certificate/signed_run.py": {
        "ssh_signature.sign(path, key, NAMESPACES[kind], say).read_text": "what ssh-keygen has just written",
    },
    "certificate/ssh/signature.py": {"signed.read_text": "what ssh-keygen has just written"},
    "certificate/statement_text.py": {"json.loads": "a strict reader of its own, of text that was read with a limit"},
    "cli/screen.py": {"os.open": "/dev/null"},
    "cli/usage/declared_names.py": {
        "(root / folder).rglob": "the suite's own files",
        "path.read_text": "the suite's own files",
    },
    "cli/usage/kept_catalogue.py": {"os.scandir": "names, sizes and times of the suite's own files"},
    "history/baseline.py": {"os.listdir": "names alone"},
    "record/benchmark_file.py": {"os.listdir": "names alone", "os.open": "the file that this process writes"},
    "record/journal.py": {
        "os.open": "the file that this process writes",
        "self._path.open": "the record that this process writes, and its children",
    },
    "record/claim.py": {"os.open": "the lock that this process takes"},
    "record/run_folders.py": {"os.listdir": "names alone"},
    "report/html.py": {"(HERE / STYLESHEET).read_text": "a file of this package"},
    "site/output.py": {"os.open": "the folder of the pages, to lock it"},
    "report/room/html.py": {"path.read_text": "files of this package"},
    "site/pages.py": {"path.read_text": "files of this package"},
}
"""Calls that are no reading of what somebody else made, by module, each with the reason."""


def found(path: Path) -> set[str]:
    """The calls in a module that read otherwise, such as `path.read_text`."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    named = {ast.unparse(call) for call in calls}
    return {call for call in named if is_way(call)}


def is_way(call: str) -> bool:
    *owners, name = call.split(".")
    if name not in WAYS or (owners and owners[0] in SAFE):
        return False
    return name not in LOADERS or (bool(owners) and owners[-1] in {"json", "yaml", "pickle", "tomllib"})


MODULES = sorted(path for package in PACKAGES for path in (PACKAGE / package).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_reads_what_others_made_with_limits_only(path: Path) -> None:
    allowed = ALLOWED.get(str(path.relative_to(PACKAGE)), {})
    assert found(path) - set(allowed) == set(), "use dgxcert.files.untrusted, or say in ALLOWED why this is safe"
