"""The list of checkpoints is pinned and says what each is for; `dgxcert cache` lists what is in the cache."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dgxcert import cli
from dgxcert.container import hub_home
from dgxcert.machine.identity import Machine
from dgxcert.probes.hub import model_cache
from dgxcert.profiles import profile
from dgxcert.profiles.checkpoints import FILE, KNOWN, PROBED, parse
from dgxcert.runner import session

MACHINE = Machine(hostname="here", kernel="6.14", architecture="aarch64", cores=20)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_every_checkpoint_is_pinned_and_says_what_it_is_for() -> None:
    assert {len(each.revision) for each in KNOWN.values()} == {40}
    assert all(each.purpose and each.files for each in KNOWN.values())
    assert all(pin.sha256 for each in KNOWN.values() if each is not PROBED for pin in each.files.values())
    assert KNOWN["gpt2"].answer is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [("revision: 607a", "revision: main"), ("purpose: answers", "porpoise: answers"), ("sha256: 0daed", "sha256: zz")],
)
def test_a_list_that_pins_nothing_is_refused(before: str, after: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert before in text
    with pytest.raises(ValueError, match=r"Checkpoint|validation"):
        parse(text.replace(before, after))


def test_a_profile_may_only_need_what_the_list_knows(tmp_path: Path) -> None:
    text = (profile.SHIPPED / "cpu.yaml").read_text(encoding="utf-8")
    for name in profile.names():
        assert set(profile.load(name).checkpoints) <= set(KNOWN)
    with pytest.raises(profile.CannotStart, match=r"checkpoints.gtp2: unknown name; did you mean 'gpt2'"):
        profile.parse(text.replace("checkpoints: [gpt2", "checkpoints: [gtp2"), tmp_path / "own.yaml")


def test_the_cache_is_where_the_client_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", "/somewhere")
    assert hub_home.cache() == Path("/somewhere/hub")
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", "~/models")
    assert hub_home.cache() == Path.home() / "models"
    monkeypatch.setenv("PLACE", "/there")
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", "$PLACE/models")
    assert hub_home.cache() == Path("/there/models")


def test_the_command_lists_verifies_and_says_how_to_fetch(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(session, "read_machine", lambda: MACHINE)
    (cache / "models--someone--else").mkdir(parents=True)
    shown = CliRunner().invoke(cli.app, ["cache", "--profile", "cpu"])
    assert shown.exit_code == 1
    assert "  missing    config.json: is missing" in shown.output
    assert "2 of the 2 that the profile needs are not usable; not pinned: someone/else" in shown.output
    assert f"to download it: {KNOWN['gpt2'].fetch}" in shown.output


def test_the_command_is_content_where_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "read_machine", lambda: MACHINE)
    monkeypatch.setattr(
        model_cache, "_verify_file", lambda path, name, pin: model_cache.CachedFile(name, "verified", "as pinned")
    )
    shown = CliRunner().invoke(cli.app, ["cache", "--profile", "cpu"])
    assert shown.exit_code == 1
    assert "main is not in the cache, which code that names no revision loads" in shown.output
    for checkpoint in KNOWN.values():
        main = model_cache.snapshot(checkpoint).parents[1] / "refs" / "main"
        main.parent.mkdir(parents=True)
        main.write_text(checkpoint.revision)
    shown = CliRunner().invoke(cli.app, ["cache", "--profile", "cpu"])
    assert shown.exit_code == 0
    assert ": complete" in shown.output
