"""The documents match the code, and everything that a user can name is documented."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

from dgxcert.profiles import profile

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/performance.md")
"""Where a user or a contributor finds every make target."""


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("generate_docs")


def test_generated_documents_are_up_to_date(generator: ModuleType) -> None:
    assert generator.stale() == [], "regenerate them: make docs"


def test_the_schema_is_valid_and_forbids_unknown_fields() -> None:
    import jsonschema

    schema = json.loads((ROOT / "docs" / "run.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_every_make_target_has_a_help_line_and_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert targets == set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    documents = "".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    assert not {target for target in targets if f"make {target}" not in documents}


def test_a_file_without_a_description_is_an_error(generator: ModuleType, tmp_path: Path) -> None:
    silent = tmp_path / "silent.py"
    silent.write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="begin it with one"):
        generator.file_map.phrase(silent)


def test_every_verdict_and_exit_code_is_explained_in_the_readme() -> None:
    from dgxcert.judgement.verdict import Verdict

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for verdict in Verdict:
        assert re.search(rf"\| {verdict.value} \|.*\| {verdict.exit_code} \|", readme), verdict


def test_every_profile_is_in_the_catalogue_of_profiles() -> None:
    page = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    for name in profile.names():
        assert f"## {name}\n" in page


def test_the_documents_contain_no_local_path() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        assert "/work/" not in path.read_text(encoding="utf-8"), path.name
