"""`make uninstall` lists first, asks, and removes nothing that dgxcert did not make, or that nobody agreed to."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

from dgxcert.command import Completed
from dgxcert.outcome import CannotStart

BUILT, DERIVED, OTHER, STANDIN, FALSE = (f"sha256:{digit * 64}" for digit in "abcde")


class Engine:
    """An engine that answers from tables, keeps what it is told to remove, and refuses what is in use."""

    def __init__(self) -> None:
        self.removed: list[tuple[str, ...]] = []
        self.in_use: set[str] = set()
        self.lists: dict[str, list[dict[str, str]]] = {
            "ps": [{"Names": "dgxcert-gpu-run-1", "ID": "c1", "State": "exited"}],
            "image": [
                {"ID": STANDIN, "Repository": "dgxcert-standin", "Tag": "amd64"},
                {"ID": FALSE, "Repository": "dgxcert-standin", "Tag": "mine"},
                {"ID": BUILT, "Repository": "dgxcert", "Tag": "course"},
                {"ID": BUILT, "Repository": "lab/dgxcert", "Tag": "1"},
                {"ID": DERIVED, "Repository": "dgxcert", "Tag": "derived"},
                {"ID": OTHER, "Repository": "<none>", "Tag": "<none>"},
            ],
            "network": [{"Name": "dgxcert_default"}],
            "volume": [{"Name": "dgxcert_cache"}],
        }

    def run(self, *words: str, timeout_s: float = 0) -> Completed:
        answer = ""
        if "rm" in words:
            if words[-1] in self.in_use:
                return Completed(words, 1, "", "Error: it is in use")
            self.removed.append(words)
        elif words[:2] == ("image", "inspect"):
            labelled = words[-1] == STANDIN
            answer = ("0a1b" if labelled else "") if "Labels" in words[3] else "2160000000"
        elif words[:2] == ("system", "df"):
            answer = json.dumps([{"Name": "dgxcert_cache", "Size": "12.3GB"}])
        else:
            answer = "\n".join(json.dumps(each) for each in self.lists[words[0]])
        return Completed(words, 0, answer, "")


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of what the builder made."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "state" / "dgxcert" / "images.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"id": BUILT, "labels": {}, "on_base": True}]), encoding="utf-8")
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an environment of ours, one of somebody else, results and a key."""
    root = tmp_path / "checkout"
    for name in (".venv", "their-venv", "results/run", ".ruff_cache", "baselines", "site"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text("x" * 5000, encoding="utf-8")
    (root / ".venv" / "dgxcert-setup").write_text("made by dgxcert's setup\n0\n", encoding="utf-8")
    (root / "linked").symlink_to(root / ".venv")
    (root / "results/run/certificate.json").write_text("{}", encoding="utf-8")
    (root / "id_ed25519").write_text("a key", encoding="utf-8")
    return root


@pytest.fixture
def uninstall(monkeypatch: pytest.MonkeyPatch, engine: Engine, state: Path, checkout: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    module = importlib.import_module("uninstall")
    monkeypatch.setattr(module, "ROOT", checkout)
    monkeypatch.setattr(module.engine, "run", engine.run)
    monkeypatch.chdir(checkout)
    return module


def run(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str, answers: list[str] | None = None) -> int:
    """The exit code for these words, and these answers; no answer is the end of the input."""
    left = list(answers or [])

    def answer(question: str) -> str:
        sys.stdout.write(question)
        if not left:
            raise EOFError
        return left.pop(0)

    monkeypatch.setattr(sys, "argv", ["uninstall.py", *words])
    monkeypatch.setattr("builtins.input", answer)
    try:
        module.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def kept(checkout: Path) -> set[str]:
    return {path.name for path in checkout.iterdir()}


ALL = {".venv", "their-venv", "results", ".ruff_cache", "baselines", "site", "linked", "id_ed25519"}


@pytest.mark.parametrize("answers", [None, [""] * 6, ["n"] * 6, ["yes please"] * 6, ["Y"[:0]] * 6])
def test_without_a_yes_nothing_is_removed(
    uninstall: ModuleType,
    engine: Engine,
    checkout: Path,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[str] | None,
) -> None:
    assert run(uninstall, monkeypatch, answers=answers) == 0
    assert engine.removed == []
    assert kept(checkout) == ALL
    assert state.is_file()


def test_everything_is_listed_with_its_size_before_the_first_question(
    uninstall: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(uninstall, monkeypatch)
    listed, _, _ = capsys.readouterr().out.partition("[y/N]")
    lines = [line.split() for line in listed.splitlines() if line.startswith("  ")]
    assert ["volume", "12.3", "GB", "dgxcert_cache"] in lines
    assert ["image", "2.2", "GB", "dgxcert:course,", "lab/dgxcert:1", "(aaaaaaaaaaaa)"] in lines
    assert ["environment", "0", "MB", ".venv"] in lines
    assert [line[0] for line in lines] == ["environment", "caches", "container", "image", "image", "network", "volume"]
    assert "results with their certificates" in listed


def test_another_project_of_our_name_keeps_what_it_has(uninstall: ModuleType, engine: Engine) -> None:
    engine.lists["ps"] += [{"Names": f"dgxcert-{name}-1", "ID": name, "State": "running"} for name in ("db", "web")]
    engine.lists["ps"] += [{"Names": "dgxcert-4711-2", "ID": "c2", "State": "exited"}]
    engine.lists["volume"] += [{"Name": "dgxcert_pgdata"}]
    engine.lists["network"] += [{"Name": "dgxcert_backend"}]
    names = [item.name for item in uninstall.engine_items() if item.group != "image"]
    assert names == ["dgxcert-gpu-run-1", "dgxcert-4711-2", "dgxcert_default", "dgxcert_cache"]


def test_yes_removes_what_is_ours_and_nothing_else(
    uninstall: ModuleType, engine: Engine, checkout: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(uninstall, monkeypatch, "--yes") == 0
    assert engine.removed == [
        ("rm", "c1"),
        ("image", "rm", "dgxcert:course", "lab/dgxcert:1"),
        ("image", "rm", "dgxcert-standin:amd64"),
        ("network", "rm", "dgxcert_default"),
        ("volume", "rm", "dgxcert_cache"),
    ]
    assert kept(checkout) == ALL - {".venv", ".ruff_cache"}
    assert (checkout / "results/run/certificate.json").is_file()
    assert not state.parent.exists()


def test_each_group_is_asked_about(uninstall: ModuleType, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    run(uninstall, monkeypatch, answers=["n", "n", "n", "y", "n", "n"])
    assert [words[:2] for words in engine.removed] == [("image", "rm"), ("image", "rm")]


def test_what_is_in_use_stays_and_is_named(
    uninstall: ModuleType,
    engine: Engine,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine.in_use = {"lab/dgxcert:1", "dgxcert_cache"}
    assert run(uninstall, monkeypatch, "--yes") == 1
    said = capsys.readouterr().err
    assert "image dgxcert:course, lab/dgxcert:1 (aaaaaaaaaaaa) stays: " in said
    assert "volume dgxcert_cache stays: " in said
    assert BUILT in state.read_text(encoding="utf-8"), "what stays is still known as ours"
    assert not any("--force" in words or "-f" in words for words in engine.removed)


def test_a_running_validation_is_left_alone(
    uninstall: ModuleType, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.lists["ps"][0]["State"] = "running"
    assert run(uninstall, monkeypatch, "--yes") == 0
    assert engine.removed == []
    assert "a container of dgxcert is running: dgxcert-gpu-run-1" in capsys.readouterr().out


def test_without_an_engine_the_environment_can_still_be_removed(
    uninstall: ModuleType,
    checkout: Path,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def absent(*words: str, timeout_s: float = 0) -> Completed:
        raise CannotStart("found no `docker` on the PATH")

    monkeypatch.setattr(uninstall.engine, "run", absent)
    assert run(uninstall, monkeypatch, "--yes") == 0
    assert "Images and volume are not listed: found no `docker`" in capsys.readouterr().out
    assert not (checkout / ".venv").exists()
    assert state.is_file(), "the images are still there, and so is what proves that they are ours"


def test_an_environment_elsewhere_is_removed_if_it_is_ours(
    uninstall: ModuleType, tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    shutil.copytree(checkout / ".venv", ours)
    shutil.copytree(checkout / "their-venv", theirs)
    run(uninstall, monkeypatch, "--yes", "--venv", str(theirs))
    run(uninstall, monkeypatch, "--yes", "--venv", str(ours))
    assert theirs.is_dir()
    assert not ours.exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[{}]", "\x00"])
def test_a_damaged_list_makes_no_image_ours(
    uninstall: ModuleType, engine: Engine, state: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    state.write_text(text, encoding="utf-8")
    run(uninstall, monkeypatch, "--yes")
    assert [words for words in engine.removed if words[0] == "image"] == [("image", "rm", "dgxcert-standin:amd64")]


def test_nothing_left_says_so(
    uninstall: ModuleType,
    engine: Engine,
    checkout: Path,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(uninstall, monkeypatch, "--yes")
    for listed in engine.lists.values():
        listed.clear()
    capsys.readouterr()
    assert run(uninstall, monkeypatch) == 0
    assert capsys.readouterr().out == "Nothing is left here that dgxcert made.\n"


def test_it_needs_only_python(tmp_path: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); import uninstall; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert not {"pydantic", "rich", "typer"} & set(done.stdout.split())
