"""The Hub's token is read where the user keeps it, and no file is made of it."""

import os
from pathlib import Path

import pytest

from dgxcert.container import hub_token

TOKENS = {"HF_TOKEN_FILE": "hf_named", "HF_TOKEN": "hf_variable", "HF_TOKEN_PATH": "hf_path", "HF_HOME": "hf_home"}
"""Tokens by the variable that names their place, in order of precedence."""


@pytest.fixture(autouse=True)
def _logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*TOKENS, "HUGGING_FACE_HUB_TOKEN", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "run").mkdir()


def store(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stores the token where this variable names it."""
    token = TOKENS[name]
    if name == "HF_TOKEN":
        monkeypatch.setenv(name, token)
        return
    folder = tmp_path / name
    folder.mkdir()
    (folder / "token").write_text(token, encoding="utf-8")
    monkeypatch.setenv(name, str(folder if name == "HF_HOME" else folder / "token"))


@pytest.mark.parametrize("first", range(len(TOKENS)))
def test_of_several_tokens_the_first_in_precedence_is_used(
    first: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places = list(TOKENS)[first:]
    for name in places:
        store(name, monkeypatch, tmp_path)
    assert hub_token.for_container() == TOKENS[places[0]]


def test_the_token_of_hf_auth_login_is_used(tmp_path: Path) -> None:
    (tmp_path / "home" / ".cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "home" / ".cache" / "huggingface" / "token").write_text("hf_login", encoding="utf-8")
    assert hub_token.for_container() == "hf_login"


def test_a_path_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine").write_text("hf_mine", encoding="utf-8")
    monkeypatch.setenv("HF_TOKEN_FILE", "~/mine")
    assert hub_token.for_container() == "hf_mine"


def test_a_path_may_be_relative(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("hf_mine", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN_FILE", "mine")
    assert hub_token.for_container() == "hf_mine"


@pytest.mark.parametrize("name", ["missing", "run"])
def test_a_missing_file_or_a_folder_is_ignored(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / name))
    store("HF_TOKEN", monkeypatch, tmp_path)
    assert hub_token.for_container() == "hf_variable"


@pytest.mark.parametrize("token", [None, "", "  \n"])
def test_without_a_token_there_is_none(token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    assert hub_token.for_container() == ""


def test_a_token_in_a_variable_makes_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", " hf_variable\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "run"))
    assert hub_token.for_container() == "hf_variable"
    assert list((tmp_path / "run").iterdir()) == []


def test_a_fifo_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / "fifo"))
    assert hub_token.for_container() == ""


def test_an_empty_file_that_is_named_means_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To the Hub's client /dev/null means: no token."""
    store("HF_HOME", monkeypatch, tmp_path)
    monkeypatch.setenv("HF_TOKEN_PATH", "/dev/null")
    assert hub_token.for_container() == ""


def test_the_older_variable_and_xdg_cache_home_are_read_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "cache" / "huggingface" / "token").write_text("hf_cache", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert hub_token.for_container() == "hf_cache"
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_older")
    assert hub_token.for_container() == "hf_older"


def test_the_source_of_the_token_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert hub_token.find() == ("", "")
    (tmp_path / "token").write_text("hf_kept\n")
    assert hub_token.find() == ("hf_kept", "the file that `hf auth login` wrote")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    assert hub_token.find() == ("hf_kept", "HF_TOKEN_PATH")
    monkeypatch.setenv("HF_TOKEN", " hf_variable ")
    assert hub_token.find() == ("hf_variable", "HF_TOKEN")


def test_folder_in_the_place_of_the_token_is_an_error_as_for_the_client(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in hub_token.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path))
    with pytest.raises(IsADirectoryError):
        hub_token.find()
