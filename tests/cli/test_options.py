"""An option with a value that nobody would type is refused in one sentence, before anything is measured or made."""

import os
import sys
from pathlib import Path

import pytest

from dgxcert.cli.app import main

VALIDATE = ("validate", "--profile", "cpu", "--runtime", "native", "--only", "NOSUCH")
REFUSED = {
    "an infinite time": (("--tier", "burn-in", "--minutes", "inf"), "--minutes: wanted 0.1 to 10080, found inf"),
    "no number": (("--tier", "burn-in", "--minutes", "nan"), "--minutes: wanted"),
    "1e400": (("--tier", "burn-in", "--minutes", "1e400"), "--minutes: wanted"),
    "a negative time": (("--tier", "burn-in", "--minutes=-1"), "--minutes: wanted"),
    "a year": (("--tier", "burn-in", "--minutes", "525600"), "--minutes: wanted"),
    "ESC": (("--only", "\x1b[2J"), "found \\x1b in '\\x1b[2J'"),
    "an override": (("--only", "\u202eX"), "found \\u202e"),
    "a newline": (("--results", "a\nVERDICT"), "found \\n in 'a\\nVERDICT'"),
    "no UTF-8": (("--results", "\udcff"), "found \\udcff"),
    "a long word": (("--only", "A" * 100_000), "at most 4096 characters, found 100000"),
    "a long name": (("--results", "a" * 300), "File name too long"),
    "a file": (("--results", "file"), "file is not a folder"),
    "below a file": (("--results", "file/results"), "file is not a folder"),
    "a FIFO": (("--results", "fifo"), "fifo is not a folder"),
    "a link to nothing": (("--results", "gone"), "cannot be used: No such file"),
    "an option of docker": (("--base", "-v"), "wanted the name of an image or a stack, found '-v'"),
    "two words": (("--image", "a b"), "wanted the name of an image"),
    "a way out": (("--stack", "../x"), "wanted the name of an image"),
    "a profile that is a FIFO": (("--profile", "fifo.yaml"), "it is a FIFO, not a regular file"),
    "a profile that is a folder": (("--profile", "folder.yaml"), "it is a folder, not a regular file"),
    "no tier": (("--tier", "A" * 4000), "Invalid value for '--tier'"),
}


@pytest.mark.parametrize(("words", "complaint"), REFUSED.values(), ids=REFUSED.keys())
def test_an_odd_value_is_refused_in_a_sentence(
    words: tuple[str, ...],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("fifo", "fifo.yaml"):
        os.mkfifo(name)
    Path("file").touch()
    Path("folder.yaml").mkdir()
    Path("gone").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(sys, "argv", ["dgxcert", *VALIDATE, *words])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().err
    assert ended.value.code == 3
    assert complaint in printed
    assert printed.count("\n") == 1
    assert len(printed) < 1000
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    monkeypatch.setattr(sys, "argv", ["dgxcert", *VALIDATE, "--results", str(tmp_path / "mine" / "results")])
    with pytest.raises(SystemExit):
        main()
    assert f"you may not write to {tmp_path}" in capsys.readouterr().err
