"""The Hub's token is read where the user keeps it, and lent as a private file that is removed afterwards."""

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
    monkeypatch.setattr(hub_token.tempfile, "tempdir", str(tmp_path / "run"))


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


def lent() -> str:
    """The token in the file that is lent."""
    with hub_token.as_file() as path:
        return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("first", range(len(TOKENS)))
def test_of_several_tokens_the_first_in_precedence_is_used(
    first: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places = list(TOKENS)[first:]
    for name in places:
        store(name, monkeypatch, tmp_path)
    assert lent() == TOKENS[places[0]]


def test_the_token_of_hf_auth_login_is_used(tmp_path: Path) -> None:
    (tmp_path / "home" / ".cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "home" / ".cache" / "huggingface" / "token").write_text("hf_login", encoding="utf-8")
    assert lent() == "hf_login"


def test_a_path_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine").write_text("hf_mine", encoding="utf-8")
    monkeypatch.setenv("HF_TOKEN_FILE", "~/mine")
    with hub_token.as_file() as path:
        assert path == tmp_path / "home" / "mine"


def test_a_relative_path_becomes_absolute_since_compose_has_another_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("hf_mine", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN_FILE", "mine")
    with hub_token.as_file() as path:
        assert path == tmp_path / "mine"


@pytest.mark.parametrize("name", ["missing", "run"])
def test_a_missing_file_or_a_folder_is_ignored(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / name))
    store("HF_TOKEN", monkeypatch, tmp_path)
    assert lent() == "hf_variable"


@pytest.mark.parametrize("name", ["HF_TOKEN_FILE", "HF_TOKEN_PATH", "HF_HOME"])
def test_the_users_own_file_is_lent_and_not_removed(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store(name, monkeypatch, tmp_path)
    with hub_token.as_file() as path:
        assert path == tmp_path / name / "token"
    assert path.read_text(encoding="utf-8") == TOKENS[name]
    assert list((tmp_path / "run").iterdir()) == []


def test_a_token_in_a_variable_is_lent_as_a_private_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", " hf_variable\n")
    with hub_token.as_file() as path:
        assert path.read_text(encoding="utf-8") == "hf_variable"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.is_relative_to(tmp_path / "run"), "in the temporary folder, which may be in memory"
    assert list((tmp_path / "run").iterdir()) == []


def test_the_file_is_removed_after_an_interruption(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store("HF_TOKEN", monkeypatch, tmp_path)

    def work() -> None:
        with hub_token.as_file():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("token", [None, "", "  \n"])
def test_without_a_token_the_file_is_empty(token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with hub_token.as_file() as path:
        assert path.read_bytes() == b""
    assert not path.exists()


def test_an_empty_file_that_is_named_means_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To the Hub's client /dev/null means: no token."""
    store("HF_HOME", monkeypatch, tmp_path)
    monkeypatch.setenv("HF_TOKEN_PATH", "/dev/null")
    assert lent() == ""


def test_the_older_variable_and_xdg_cache_home_are_read_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "cache" / "huggingface" / "token").write_text("hf_cache", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert lent() == "hf_cache"
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_older")
    assert lent() == "hf_older"


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
