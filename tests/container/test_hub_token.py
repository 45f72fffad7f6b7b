"""The Hub's token is found where the user keeps it, and lent as a file of the user alone that is gone afterwards."""

from pathlib import Path

import pytest

from dgxcert.container import hub_token

TOKENS = {"HF_TOKEN_FILE": "hf_named", "HF_TOKEN": "hf_variable", "HF_TOKEN_PATH": "hf_path", "HF_HOME": "hf_home"}
"""In the order in which they count."""


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*TOKENS, "HUGGING_FACE_HUB_TOKEN", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(hub_token.tempfile, "tempdir", str(tmp_path / "run"))


def keep(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the user keep a token in this place."""
    token = TOKENS[name]
    if name == "HF_TOKEN":
        monkeypatch.setenv(name, token)
        return
    folder = tmp_path / name
    folder.mkdir()
    (folder / "token").write_text(token, encoding="utf-8")
    monkeypatch.setenv(name, str(folder if name == "HF_HOME" else folder / "token"))


def lent() -> str:
    with hub_token.as_file() as path:
        return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("first", range(len(TOKENS)))
def test_of_several_places_the_first_one_counts(first: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    places = list(TOKENS)[first:]
    for name in places:
        keep(name, monkeypatch, tmp_path)
    assert lent() == TOKENS[places[0]]


def test_a_token_is_found_where_logging_in_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "home" / ".cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "home" / ".cache" / "huggingface" / "token").write_text("hf_login", encoding="utf-8")
    assert lent() == "hf_login"


def test_places_are_named_relative_to_home_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine").write_text("hf_mine", encoding="utf-8")
    monkeypatch.setenv("HF_TOKEN_FILE", "~/mine")
    with hub_token.as_file() as path:
        assert path == tmp_path / "home" / "mine"


def test_a_file_is_named_by_its_whole_path_since_compose_would_look_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("hf_mine", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN_FILE", "mine")
    with hub_token.as_file() as path:
        assert path == tmp_path / "mine"


@pytest.mark.parametrize("there", ["not-there", "run"])
def test_a_file_that_is_not_there_is_passed_over(there: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / there))
    keep("HF_TOKEN", monkeypatch, tmp_path)
    assert lent() == "hf_variable"


@pytest.mark.parametrize("name", ["HF_TOKEN_FILE", "HF_TOKEN_PATH", "HF_HOME"])
def test_the_users_own_file_is_lent_as_it_is_and_stays(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keep(name, monkeypatch, tmp_path)
    with hub_token.as_file() as path:
        assert path == tmp_path / name / "token"
    assert path.read_text(encoding="utf-8") == TOKENS[name]
    assert list((tmp_path / "run").iterdir()) == []


def test_a_token_of_a_variable_is_in_a_file_for_its_user_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", " hf_variable\n")
    with hub_token.as_file() as path:
        assert path.read_text(encoding="utf-8") == "hf_variable"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.is_relative_to(tmp_path / "run"), "where the user has working memory, no disk keeps it"
    assert list((tmp_path / "run").iterdir()) == []


def test_the_file_is_gone_though_the_work_ended_badly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keep("HF_TOKEN", monkeypatch, tmp_path)

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


def test_a_path_that_is_named_counts_alone_so_that_a_user_can_lend_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To the Hub's client /dev/null means: no token."""
    keep("HF_HOME", monkeypatch, tmp_path)
    monkeypatch.setenv("HF_TOKEN_PATH", "/dev/null")
    assert lent() == ""


def test_the_older_variable_and_another_cache_are_known_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "cache" / "huggingface" / "token").write_text("hf_cache", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert lent() == "hf_cache"
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_older")
    assert lent() == "hf_older"


def test_the_token_is_found_with_its_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert hub_token.find() == ("", "")
    (tmp_path / "token").write_text("hf_kept\n")
    assert hub_token.find() == ("hf_kept", "the file that `hf auth login` wrote")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    assert hub_token.find() == ("hf_kept", "HF_TOKEN_PATH")
    monkeypatch.setenv("HF_TOKEN", " hf_variable ")
    assert hub_token.find() == ("hf_variable", "HF_TOKEN")
