"""A config file gives defaults of options: what is typed wins, what is wrong is named with its line, runs say it."""

import os
from pathlib import Path

import pytest
from suites import example

from dgxcert.cli import config
from dgxcert.cli.config import Config
from dgxcert.outcome import CannotStart
from dgxcert.record import run as runs

WRONG = [
    ("dgxcert.toml", 'profil = "cpu"', ["dgxcert.toml, line 1", "'profil'", "did you mean 'profile'?"]),
    ("dgxcert.toml", '# mine\nresults = "out"\nSITE = "site"', ["line 3", "'SITE'", "did you mean 'site'?"]),
    ("dgxcert.toml", "profile = 3", ["line 1: profile: wanted a text in quotes, found 3", 'profile = "…"']),
    ("dgxcert.toml", 'waivers = ["a", "b"]', ["waivers: wanted a text in quotes, found ['a', 'b']"]),
    ("dgxcert.toml", 'site = ""', ["site: wanted a text in quotes"]),
    ("dgxcert.toml", "profile = cpu", ["dgxcert.toml is not TOML", "line 1"]),
    ("dgxcert.toml", 'profile = "a\\u001b[2J"', ["profile: wanted words that can be printed"]),
    ("dgxcert.toml", '[tool.dgxcert]\nprofile = "cpu"', ["there is no setting 'tool'"]),
    ("dgxcert.toml", f'profile = "{"x" * 70_000}"', ["dgxcert.toml cannot be read", "at most 65536"]),
    ("dgxcert.toml", f"a = {'[' * 5000}", ["dgxcert.toml is not TOML"]),
    ("pyproject.toml", '[project]\nname = "x"\n[tool.dgxcert]\ntier = "quick"', ["pyproject.toml, line 4", "'tier'"]),
    ("pyproject.toml", 'tool.dgxcert = "cpu"', ["tool.dgxcert: wanted a table"]),
    ("dgxcert.toml", 'profile = "cpux"', ["no profile 'cpux'", "(profile is from dgxcert.toml)"]),
]


@pytest.mark.parametrize(("file", "text", "words"), WRONG)
def test_what_is_wrong_is_named_with_its_file(dgxcert, tmp_path: Path, file: str, text: str, words: list[str]) -> None:
    (tmp_path / file).write_text(text)
    dgxcert("cache").require_refused(*words)


def test_settings_in_both_files_are_refused(dgxcert, tmp_path: Path) -> None:
    (tmp_path / "dgxcert.toml").write_text('profile = "cpu"')
    (tmp_path / "pyproject.toml").write_text('[tool.dgxcert]\nprofile = "h200"')
    dgxcert("list").require_refused("both dgxcert.toml and [tool.dgxcert] in pyproject.toml")


@pytest.mark.parametrize(
    "text", ["[tool.ruff]\nline-length = 120", "this is no TOML", "", '[project]\nname = "dgxcert"']
)
def test_a_project_that_says_nothing_about_dgxcert_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert config.read(tmp_path, ["list"]) == Config()


@pytest.mark.parametrize("words", [["--help"], ["validate", "--help"], ["stage", "/results"], []])
def test_help_and_children_read_no_file(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "dgxcert.toml").write_text("broken")
    assert config.read(tmp_path, words) == Config()


def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "dgxcert.toml"
    file.write_text('allowed-signers = "theirs"')
    file.chmod(0o666)
    with pytest.raises(CannotStart, match=r"does not count\. Make it yours: sudo chown"):
        config.read(tmp_path, ["verify"])


def test_a_file_of_another_user_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dgxcert.toml").write_text('allowed-signers = "theirs"')
    os.chown(tmp_path / "dgxcert.toml", 4711, -1) if os.geteuid() == 0 else monkeypatch.setattr(
        os, "geteuid", lambda: 4711
    )
    with pytest.raises(CannotStart, match="belongs to another user"):
        config.read(tmp_path, ["verify"])


def test_a_fifo_is_no_config(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dgxcert.toml")
    with pytest.raises(CannotStart, match="it is a FIFO"):
        config.read(tmp_path, ["list"])


@pytest.mark.usefixtures("own_suite")
@pytest.mark.parametrize("typed", [True, False])
def test_what_is_typed_wins_and_a_run_says_what_the_file_gave(dgxcert, tmp_path: Path, *, typed: bool) -> None:
    (tmp_path / "dgxcert.toml").write_text(f'profile = "{example.profile_file(tmp_path)}"\nresults = "out"')
    dgxcert("validate", "--runtime", "native", *(["--results", "typed"] if typed else []))
    (folder,) = (path for path in (tmp_path / ("typed" if typed else "out")).iterdir() if path.is_dir())
    run = runs.load(folder)
    (note,) = (note for note in run.notes if note.startswith("set by dgxcert.toml: "))
    assert ("results = 'out'" in note) is not typed
    assert "profile = " in note
    assert run.options.config in note


def test_a_site_folder_of_the_file_is_for_the_profiles_that_it_holds(dgxcert, tmp_path: Path) -> None:
    (tmp_path / "dgxcert.toml").write_text('site = "site"')
    (tmp_path / "site").mkdir()
    options = ("--profile", "cpu", "--runtime", "native", "--tier", "quick", "--only", "SWAP-UNUSED")
    dgxcert("validate", *options, "--results", "out")
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert "set by dgxcert.toml; its site 'site' has no cpu.yaml, so none is used" in runs.load(folder).notes
    (tmp_path / "site" / "cpu.yaml").write_text("tightens: nothing")
    dgxcert("validate", *options).require_refused("site/cpu.yaml")


def test_a_file_that_chooses_whose_signature_counts_is_named(dgxcert, tmp_path: Path) -> None:
    (tmp_path / "dgxcert.toml").write_text('allowed-signers = "theirs"')
    assert "allowed signers: theirs, by dgxcert.toml" in dgxcert("verify", "certificate.json").err
    assert "by dgxcert.toml" not in dgxcert("verify", "certificate.json", "--allowed-signers", "mine").err


def test_every_key_is_an_option_of_a_command() -> None:
    import typer

    from dgxcert.cli import app

    commands = typer.main.get_group(app).commands.values()
    options = {name for command in commands for parameter in command.params for name in parameter.opts}
    assert {f"--{key}" for key in config.KEYS} <= options
