"""The catalogue of faults: it names only requirements that exist, and for every fault the one that catches it."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

from dgxcert.plan import known_faults, suite
from dgxcert.plan.catalogue import Entry

NO_KNOWN_FAULT = {
    "GPU-MODEL": "a machine of another model than the one purchased is not faulty",
    "GPU-PERSISTENCE": "a setting; there is no report of a machine that lost it",
    "GPU-COMPUTE-MODE": "a setting; there is no report of a machine that lost it",
    "BF16-CORRECT": "no report of wrong bf16 results, which is what it tests for",
    "MATMUL-CORRECT": "no report of wrong matmul results, which is what it tests for",
    "GRADIENTS-CORRECT": "no report of wrong gradients, which is what it tests for",
    "MEMORY-PATTERN": "no report of wrong memory without an error, which is what it tests for",
    "TRAINING-REPEATS": "no report of training that differs from run to run, which is what it tests for",
    "SAME-BITS": "no report of one GPU of several that computes other bits, which is what it tests for",
    "DATA-PARALLEL-CORRECT": "no report of a machine that exchanges wrong gradients, which is what it tests for",
    "ALL-GPUS-MEMORY": "no report of a GPU whose memory is slow only while all work, which is what it tests for",
    "ALL-GPUS-TRANSFER": "no report of a link that is slow only while all work, which is what it tests for",
    "DRIVER-CUDA": "a driver that is too old is caught by DRIVER-BRANCH; this compares it with the torch in use",
    "GPU-XID-AFTER": "tests for the faults of GPU-XID again, after the work",
    "HOST-LOG-AFTER": "tests for the faults of drives, memory, PCIe, CPUs and power again, after the work",
    "BURN-IN": "gives the faults of GPU-STEADY and GPU-THERMAL more time",
}
"""Requirements about a GPU that guard against faults without a public report."""

ENTRY = """
A:
  title: Everything
  faults:
    A1:
      symptom: It is slow
      signature: half of it
      versions: all
      remedy: [Look, own: Repair]
      sources: [somebody/something#1]
      confidence: single
      caught_by: [MATMUL-SPEED]
"""


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("fault_catalogue")


@pytest.fixture(scope="module")
def requirements() -> list[Entry]:
    return suite.collect(suite.root(), gpus=1)


def named(catalogue: ModuleType) -> set[str]:
    return {name for fault in known_faults.load(ROOT).faults.values() for name in fault.requirements}


def test_every_requirement_that_a_fault_names_exists(catalogue: ModuleType, requirements: list[Entry]) -> None:
    assert named(catalogue) - {entry.id for entry in requirements} == set()


def test_every_requirement_about_a_gpu_catches_a_known_fault_or_is_an_exception(
    catalogue: ModuleType, requirements: list[Entry]
) -> None:
    about_gpus = {entry.id for entry in requirements if entry.group == "gpu"}
    assert about_gpus - named(catalogue) - set(NO_KNOWN_FAULT) == set()


def test_the_exceptions_exist_and_are_needed(catalogue: ModuleType, requirements: list[Entry]) -> None:
    assert set(NO_KNOWN_FAULT) - {entry.id for entry in requirements} == set()
    assert set(NO_KNOWN_FAULT) & named(catalogue) == set()


def test_every_entry_has_sources_a_confidence_and_one_status(catalogue: ModuleType) -> None:
    faults = known_faults.load(ROOT).faults
    assert len(faults) > 100
    for name, fault in faults.items():
        assert all(source.strip() for source in fault.sources), name
        assert fault.sources, name
        assert fault.confidence in catalogue.CONFIDENCE, name
        assert bool(fault.caught_by) + bool(fault.not_checked) + bool(fault.must_not_fire) == 1, name


def test_an_entry_with_the_knowledge_base_as_its_only_source_is_marked(catalogue: ModuleType) -> None:
    untraced = "a community knowledge base, not traced to its own source"
    for name, fault in known_faults.load(ROOT).faults.items():
        if set(fault.sources) == {untraced}:
            assert fault.confidence == "knowledge-base", name
        if fault.confidence == "knowledge-base":
            assert all("knowledge base" in source for source in fault.sources), name


def test_the_page_has_a_section_for_every_entry_and_no_opaque_source(catalogue: ModuleType) -> None:
    page = catalogue.page()
    for name in known_faults.load(ROOT).faults:
        assert f"\n### {name}\n" in page
    assert "file id" not in page


def test_the_page_on_disk_is_up_to_date(catalogue: ModuleType) -> None:
    assert catalogue.PAGE.read_text(encoding="utf-8") == catalogue.page(), "regenerate it: make docs"


def test_the_matrix_of_another_program_is_kept(
    catalogue: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "faults.md"
    monkeypatch.setattr(catalogue, "PAGE", page)
    assert f"{catalogue.MATRIX_BEGINS}\nNot made yet.\n{catalogue.MATRIX_ENDS}" in catalogue.page()
    page.write_text(f"old\n{catalogue.MATRIX_BEGINS}\n| \\1 a | b |\n{catalogue.MATRIX_ENDS}\nold\n", encoding="utf-8")
    made = catalogue.page()
    assert f"{catalogue.MATRIX_BEGINS}\n| \\1 a | b |\n{catalogue.MATRIX_ENDS}" in made
    assert "old" not in made.split("\n")


def test_sources_are_links_and_steps_by_dgxcert_are_marked(catalogue: ModuleType) -> None:
    fault = known_faults.parse(ENTRY, "faults.yaml").faults["A1"]
    lines = catalogue._section("A1", fault)
    assert (
        "- Sources (a single report): [somebody/something#1](https://github.com/somebody/something/issues/1)." in lines
    )
    assert lines[-2:] == ["1. Look", "2. *Ours:* Repair"]
    assert catalogue._linked("NVIDIA forum 12") == "[NVIDIA forum 12](https://forums.developer.nvidia.com/t/12)"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("symptom:", "sympton:", r"faults.yaml: A1: missing key 'symptom'; A1: unknown key 'sympton'; did you mean"),
        ("      caught_by", "      seen: here\n      caught_by", r"A1: unknown key 'seen'"),
        ("  title:", "  titel: twice\n  title:", r"A: unknown key 'titel'; did you mean 'title'"),
        ("own: Repair", "mine: Repair", r"A1: remedy.1: a step is a sentence, or `own:`"),
        ("sources: [somebody/something#1]", "sources: []", r"A1: sources: "),
        ("confidence: single", "confidence: certain", r"A1: confidence: "),
        ("caught_by: [MATMUL-SPEED]", "caught_by: []", r"A1: give exactly one of"),
        ("caught_by:", "not_checked: no time\n      caught_by:", r"A1: give exactly one of"),
        ("caught_by: [MATMUL-SPEED]", "not_checked: no time\n      only_if: often", r"A1: `only_if` belongs"),
        ("    A1:", "    B1:", r"B1: an id of group A is A and a number"),
        ("      versions: all", "      versions: all\n      versions: some", r"key 'versions' is given twice"),
        ("\nA:", "\nH:", r"A1: an id of group H"),
    ],
)
def test_an_invalid_entry_is_named_by_its_id(catalogue: ModuleType, old: str, new: str, complaint: str) -> None:
    assert old in ENTRY
    with pytest.raises(ValueError, match=complaint):
        known_faults.parse(ENTRY.replace(old, new, 1), "faults.yaml")


def test_what_is_healthy_cannot_be_caught(catalogue: ModuleType) -> None:
    with pytest.raises(ValueError, match="H1: what is healthy is not caught"):
        known_faults.parse(ENTRY.replace("A:", "H:").replace("A1:", "H1:"), "faults.yaml")


def test_a_fault_cannot_be_listed_twice(catalogue: ModuleType) -> None:
    _, entry = ENTRY.split("  faults:\n")
    with pytest.raises(ValueError, match="key 'A1' is given twice"):
        known_faults.parse(ENTRY + entry, "faults.yaml")
