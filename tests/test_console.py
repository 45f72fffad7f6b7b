"""What is hidden, or steers a terminal, is shown as an escape on every way out; what people write stays as it is."""

import ast
import io
import random
import unicodedata

import pytest
from paths import ROOT
from rich.table import Table

from dgxcert.cli import screen
from dgxcert.console import HIDDEN, _escaped, on_one_line, plain, printable

HOSTILE = {
    "ESC": "\x1b[2J",
    "OSC 8, a link": "\x1b]8;;http://x\x1b\\CERTIFIED\x1b]8;;\x1b\\",
    "OSC 52, the clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "CSI as C1": "\x9b31m",
    "NUL": "\x00",
    "carriage return": "REJECTED\rCERTIFIED",
    "backspace": "a\b",
    "tab": "\t",
    "delete": "\x7f",
    "override": "\u202edeifitrec",
    "isolate": "\u2066x\u2069",
    "mark": "\u200e\u061c",
    "line separator": "\u2028\u2029\x85",
    "zero width": "a\u200bb\u2060c\ufeffd",
    "joiner between letters": "a\u200db",
    "joiner after a hidden selector": "a\ufe0f\u200d🤗",
    "soft hyphen": "cer\xadtified",
    "grapheme joiner": "a\u034fb",
    "Hangul filler": "\u3164\uffa0",
    "selector": "a\ufe0f\ufe00\U000e0100",
    "tag": "\U000e0041",
    "lone surrogate": "\ud800",
    "byte of a file name": "\udcff",
    "noncharacter": "\ufffe\uffff\ufdd0\U0001ffff",
    "private": "\ue000\U0010fffd",
}
LEGITIMATE = (
    "Grüße, Žižek, 漢字, かな, 한국어, عربي, עברית, ไทย, हिन्दी, µs, 82 °C, ≥ 13 token/s, ±4 %, 10\u00a0000, "
    "🤗 👩🏽\u200d🔬 ❤\ufe0f 1\ufe0f⃣ ▁▂▃ ✔ … \\x1b [bold] :smile: NFD e\u0301\n"
)


def steering(text: str) -> set[str]:
    """Characters that no output may hold, found by Unicode's categories and not by the list under test."""
    joined = text.replace("👩🏽\u200d🔬", "")
    return {char for char in joined if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}} - {"\n"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hidden_is_shown_as_an_escape(text: str) -> None:
    shown = printable(text)
    assert not steering(shown)
    assert "\\" in shown
    assert printable(shown) == shown, "an escape is not escaped again"


def test_every_control_and_format_character_is_escaped() -> None:
    visible = {0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    missed = [hex(code) for code in range(0x110000) if code not in visible and steering(printable(chr(code)))]
    assert missed == []


def test_what_people_write_stays_as_it_is() -> None:
    assert printable(LEGITIMATE) == LEGITIMATE


def test_a_name_cannot_begin_a_line() -> None:
    assert on_one_line("spark\nCERTIFIED\r\n") == "spark\\nCERTIFIED\\x0d\\n"


def test_the_screen_shows_hidden_text_whatever_prints_it() -> None:
    file = io.StringIO()
    console = screen.console(file)
    console.width = 200
    table = Table("[bold]head\x1b[2J")
    table.add_row("cell\u202e :smile: [link=x]y[/]")
    for renderable in (table, "text\x9b [red]x[/]", plain("plain\x07")):
        console.print(renderable, soft_wrap=True)
    shown = file.getvalue()
    assert not steering(shown)
    for text in ("[bold]head", "\\x1b[2J", "\\u202e :smile: [link=x]y[/]", "\\x9b [red]x[/]", "plain\\x07"):
        assert text in shown


def test_the_screen_survives_a_terminal_in_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    screen.console(file).print("82 °C 漢")
    file.flush()
    assert file.buffer.getvalue() == b"82 \\xb0C \\u6f22\n"  # type: ignore[attr-defined]


def test_text_for_rich_is_made_in_one_place() -> None:
    """`rich.text.Text(...)` of somebody else's words would skip the escapes."""
    for path in (ROOT / "src" / "dgxcert").rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {func.id for func in calls if isinstance(func, ast.Name)}
        assert path.name == "console.py" or not names & {"Text", "Console"}, f"{path}: console.plain or screen.console"


def test_lines_are_escaped_as_the_whole_is() -> None:
    dice = random.Random(7)
    pieces = [*"a1#*\n\r\t\x0b\x1b\x7f \u2028\u2026", "\ufe0f", "\ufe0e", "\u200d", "\u2190", "\U0001f600", "\xad"]
    for _ in range(2000):
        text = "".join(dice.choices(pieces, k=dice.randint(0, 9)))
        assert printable(text) == HIDDEN.sub(_escaped, text)
