"""A file that somebody wrote is read within limits; what is wrong has its line, its column and one sentence."""

import os
import time
from pathlib import Path

import pytest
import yaml

from dgxcert.files import yaml_document
from dgxcert.outcome import CannotStart

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)
REFUSED = {
    "nothing": ("", "wanted keys and values, found nothing"),
    "infinite": ("a: .inf", "line 1, column 4: wanted a finite number, found .inf"),
    "less than infinite": ("a: -.INF", "wanted a finite number"),
    "no number": ("a: .NaN", "wanted a finite number"),
    "1e400": ("a: [1,\n 1e400]", "line 2, column 2: wanted a number between 1e-30 and 1e+30, found '1e400'"),
    "subnormal": ("a: 5e-324", "wanted a number between"),
    "1e-400": ("a: 1e-400", "wanted a number between"),
    "400 digits": ("a: " + "9" * 400, "wanted a number between"),
    "5000 digits": ("a: " + "9" * 5000, "wanted a number between"),
    "octal": ("a: 010", "found '010', which not every reader of YAML takes for the same"),
    "hexadecimal": ("a: 0x10", "found '0x10'"),
    "sexagesimal": ("a: 1:30", "found '1:30'"),
    "thousands": ("a: 1_000", "found '1_000'"),
    "tag of a number": ("a: !!int foo", "line 1, column 4: wanted no tag, found 'tag:yaml.org,2002:int'"),
    "tag of a date": ("a: !!timestamp foo", "wanted no tag"),
    "binary": ("a: !!binary '###'", "wanted no tag"),
    "Python": ("a: !!python/object/apply:os.system ['touch pwned']", "wanted no tag"),
    "tag of a mapping": ("!!set {a, b}", "wanted no tag"),
    "key twice": ("a: 1\nb: 2\na: 3", "line 3, column 1: key 'a' is given twice"),
    "key twice by type": ("1: a\n'1': b", "key '1' is given twice"),
    "list as key": ("? [a]\n: b", "wanted a text as key"),
    "alias as key": ("a: &x b\n*x : c", "wanted a text as key"),
    "alias of itself": ("&a [*a]", "there is nothing complete called '&a'"),
    "merge of itself": ("a: &a\n  <<: *a", "there is nothing complete called '&a'"),
    "merge of a text": ("a: &a x\nb: {<<: *a}", "<<: wanted keys and values, found 'x'"),
    "undefined alias": ("a: *z", "called '&z'"),
    "two documents": ("a: 1\n---\nb: 2", "line 2, column 1: wanted one document, found a second"),
    "tab": ("\ta: 1", "this is not YAML"),
    "unclosed": ("a: [1", "this is not YAML"),
    "nested lists": ("[" * 100_000, "line 1, column"),
    "nested mappings": ("{a: " * 100_000, "wanted at most 32 levels"),
    "nested blocks": ("".join(" " * level + "a:\n" for level in range(1300)), "wanted at most 32 levels"),
    "nested by aliases": ("\n".join(f"k{n}: &k{n} [{f'*k{n - 1}' if n else 1}]" for n in range(99)), "32 levels"),
    "billion laughs": (LAUGHS, "values, found more"),
    "many values": ("[" + "1," * 500_000 + "1]", "values, found more"),
    "long text": ("a: " + "x" * 1_000_000, "wanted a text of at most 20000 characters, found 1000000"),
    "long key": ("x" * 900 + "y" * 20_000 + ": 1", "line 1, column"),
    "ESC": ("a: \x1b[2J", "line 1, column 4: wanted printable text, found \\x1b"),
    "ESC, written": ('a: "\\e[2J"', "line 1, column 4: wanted printable text, found \\x1b"),
    "NUL, written": ('a: "\\0"', "wanted printable text, found \\x00"),
    "carriage return, written": ('a: "REJECTED\\rCERTIFIED"', "wanted printable text, found \\x0d"),
    "ESC in a key": ('"\\e[2J": 1', "wanted printable text, found \\x1b"),
    "NUL": ("a: b\n c\x00", "line 2, column 3: wanted printable text, found \\x00"),
}


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize(("text", "complaint"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_has_its_place(text: str, complaint: str, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_document, "Loader", getattr(yaml, loader))
    monkeypatch.setattr(yaml_document, "MOST_NODES", 5000)
    with pytest.raises(CannotStart) as caught:
        yaml_document.parse(text, "Profile mine.yaml")
    shown = str(caught.value)
    assert shown.startswith("Profile mine.yaml, line ")
    assert "\n" not in shown
    assert len(shown) < 400
    if loader == "CSafeLoader":
        assert complaint in shown


def test_what_people_write_is_read() -> None:
    text = (
        "\r\n".join(
            [
                "usual: &usual {unit: GB/s, source: 'data sheet, 2026'}",
                "copy: {<<: *usual, min: 4_8, unit: TB/s}".replace("4_8", "4.8"),
                "host: no",
                "until: 2026-02-30",
                "texts: [yes, 12:30:00 UTC, '010', !!str 12, ~, 'null', e5, 1e5, -0.5, +3, 0, .5, 1.]",
                "on: true",
                "5: five",
                "words: \u6f22\u5b57 \xb5s",
                "more: |",
                "  a",
                "  b",
            ]
        )
        + "\r\n"
    )
    found = yaml_document.parse(text, "").content
    assert found["copy"] == {"unit": "TB/s", "source": "data sheet, 2026", "min": 4.8}
    assert (found["host"], found["until"], found["on"], found["5"]) == ("no", "2026-02-30", True, "five")
    numbers = [1e5, -0.5, 3, 0, 0.5, 1.0]
    assert found["texts"] == ["yes", "12:30:00 UTC", "010", "12", None, "null", "e5", *numbers]
    assert (found["words"], found["more"]) == ("\u6f22\u5b57 \xb5s", "a\nb\n")


def test_what_an_alias_repeats_is_a_copy() -> None:
    found = yaml_document.parse("a: &a {x: 1}\nb: *a", "").content
    found["a"]["x"] = 2
    assert found["b"] == {"x": 1}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\xff\xfea\x00", "line 1, column 1: wanted text in UTF-8"),
        (b"a: 1\nb: \xe9", "line 2, column 4: wanted text in UTF-8"),
        (b"a: 1\n" * 2_000_000, "cannot be read: it has 10000000 bytes"),
    ],
)
def test_other_bytes_are_refused(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(CannotStart, match=complaint):
        yaml_document.load(path, "Profile")


def test_a_file_of_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert yaml_document.load(path, "").content == {"a": 1}


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.yaml")
    with pytest.raises(CannotStart, match="it is a FIFO, not a regular file"):
        yaml_document.load(tmp_path / "mine.yaml", "Profile")
    (tmp_path / "link.yaml").symlink_to("/dev/zero")
    with pytest.raises(CannotStart, match="it is a device, not a regular file"):
        yaml_document.load(tmp_path / "link.yaml", "Profile")


def test_the_cost_of_a_document_is_bounded() -> None:
    """In processor time of this thread, which other processes do not change."""
    began = time.thread_time()
    yaml_document.parse("[" + "1," * (yaml_document.MOST_NODES - 10) + "1]", "")
    assert time.thread_time() - began < 30, "it hangs"
