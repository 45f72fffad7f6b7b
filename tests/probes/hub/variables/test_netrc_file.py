"""The entry of a netrc file is found as requests finds it."""

from pathlib import Path

import pytest

from dgxcert.probes.hub.variables import netrc_file


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("machine hub.lab login ada password old", True),
        ("default login ada password old", True),
        ("machine other.lab login ada password old", False),
        ("machine hub.lab login", False),
    ],
)
def test_entry_of_the_host_or_the_default_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, found: bool
) -> None:
    (tmp_path / "netrc").write_text(text)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    entry = netrc_file.entry("hub.lab")
    assert (entry is not None) is found
    requests = pytest.importorskip("requests")
    assert bool(requests.utils.get_netrc_auth("https://hub.lab/")) is found
    assert entry is None or entry.authorization == requests.auth._basic_auth_str("ada", "old")


def test_file_in_the_home_counts_and_netrc_overrides_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine hub.lab login ada password old")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    assert netrc_file.entry("hub.lab")
    monkeypatch.setenv("NETRC", "/dev/null")
    assert netrc_file.entry("hub.lab") is None
