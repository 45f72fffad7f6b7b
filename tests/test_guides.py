"""The guides speak of requirements, quantities, files and headings that exist."""

import re
from pathlib import Path

import pytest
from paths import ROOT

GUIDES = ("docs/offline.md", "docs/uninstall.md", "docs/troubleshooting.md", "docs/site.md", "SECURITY.md")
BY_NAME = pytest.mark.parametrize("name", GUIDES)
ID = re.compile(r"\b[A-Z][A-Z0-9]+(?:-[A-Z0-9]+)+\b")
NO_IDS = {"UTF-8", "SHA-256", "X86-64"}
LINK = re.compile(r"\]\(([^)]+)\)")
QUANTITY = re.compile(r"^([a-zA-Z ]+?) is .+?, required", re.MULTILINE)
TYPED = re.compile(r"\bmake ([a-z-]+)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def headings(page: str) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.fixture(scope="module")
def ids() -> set[str]:
    return set(re.findall(r"^### ([A-Z0-9-]+)$", text("docs/requirements.md"), re.MULTILINE))


@BY_NAME
def test_every_requirement_that_is_named_exists(name: str, ids: set[str]) -> None:
    assert set(ID.findall(text(name))) - NO_IDS <= ids


@BY_NAME
def test_every_link_leads_to_a_page_and_a_heading(name: str) -> None:
    for link in LINK.findall(text(name)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.is_file(), link
        assert not anchor or anchor in headings(target.read_text(encoding="utf-8")), link


@BY_NAME
def test_every_target_of_make_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", text("Makefile"), re.MULTILINE))
    assert set(TYPED.findall(text(name))) <= targets


def test_the_symptoms_name_quantities_that_a_check_records() -> None:
    quantities = QUANTITY.findall(text("docs/troubleshooting.md"))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "checks").rglob("*.py"))
    assert len(quantities) >= 8
    assert [each for each in quantities if f'"{each}"' not in sources] == []


def test_there_are_ten_findings_each_with_a_symptom_a_cause_and_what_to_do() -> None:
    sections = re.split(r"^## ", text("docs/troubleshooting.md"), flags=re.MULTILINE)[1:]
    numbered = [section for section in sections if section[0].isdigit()]
    assert [int(section.partition(".")[0]) for section in numbered] == list(range(1, 11))
    for section in numbered:
        assert re.search(r": [A-Z]", section.splitlines()[0]), "the heading names a requirement"
        assert section.index("```") < section.index("*Why.*") < section.index("*What to do.*")


def test_the_base_image_of_the_guide_is_the_pinned_one() -> None:
    digests = set(re.findall(r"sha256:[0-9a-f]{64}", text("docs/offline.md")))
    assert digests == set(re.findall(r"sha256:[0-9a-f]{64}", text("container/base.env")))


def test_the_list_of_builds_is_where_the_guides_say(monkeypatch: pytest.MonkeyPatch) -> None:
    from dgxcert.container import builds

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    place = f"~/{builds.file().relative_to(Path.home())}"
    assert place in text("docs/offline.md")
    assert place in text("docs/uninstall.md")
