"""A build gets pip's settings of package indexes from the environment and files, and no path of this machine."""

from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.container import pip_settings

LISTING = """\
:env:.index-url='https://me:key@packages.lab/simple'
:env:.default-timeout='180'
global.cert='/etc/ssl/lab.pem'
global.constraint='/etc/pip/constraints.txt'
global.extra-index-url='file:///opt/simple https://more.lab/simple'
global.find-links='/srv/wheels'
global.index-url='https://other.lab/simple'
install.trusted-host='packages.lab'
"""


def test_the_environment_overrides_the_files() -> None:
    assert pip_settings.parse(LISTING)["index-url"] == "https://me:key@packages.lab/simple"


def test_settings_that_name_paths_of_this_machine_are_excluded() -> None:
    text = pip_settings.config(pip_settings.parse(LISTING))
    assert "https://more.lab/simple" in text
    assert "trusted-host = packages.lab" in text
    assert "timeout = 180" in text
    assert not [name for name in ("/opt", "constraint", "find-links", "cert") if name in text]


def test_without_settings_there_is_no_file() -> None:
    assert pip_settings.config(pip_settings.parse("")) == ""
    assert pip_settings.config(pip_settings.parse("global.extra-index-url='file:///opt/simple'\n")) == ""


def test_pips_own_certificate_authority_precedes_the_general_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, general = tmp_path / "own.pem", tmp_path / "general.pem"
    own.touch()
    general.touch()
    listing = f"global.cert='{own}'\n"
    monkeypatch.setattr(command, "run", lambda args, timeout_s: command.Completed(tuple(args), 0, listing, ""))
    monkeypatch.delenv("PIP_CERT", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(general))
    assert pip_settings.read().authority == str(own)
    own.unlink()
    assert pip_settings.read().authority == str(general)
