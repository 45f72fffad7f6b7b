"""Start: where the command's own packages do not import, it says why in two lines, and what to do."""

import os
import sys
from pathlib import Path

import pytest

from dgxcert import cli, command

SOURCE = str(Path(cli.__file__).parents[2])


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("typing_extensions.py", "ImportError: cannot import name"),
        ("random.py", "its own packages do not import"),
        ("pydantic.py", "ImportError: cannot import name 'BaseModel' from 'pydantic'"),
    ],
)
def test_a_foreign_module_in_pythonpath_is_named_with_what_leaves_it_out(tmp_path: Path, file: str, error: str) -> None:
    (tmp_path / file).write_text("x = 1\n", encoding="utf-8")
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), SOURCE))}
    done = command.run([sys.executable, "-P", "-m", "dgxcert", "list"], timeout_s=60, env=variables)
    assert (done.returncode, error in done.stderr) == (3, True)
    assert done.stderr.splitlines()[-1].endswith("unset PYTHONPATH")
    assert "Traceback" not in done.stderr


def test_without_such_a_folder_the_environment_is_to_be_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert cli.way_out(ImportError("No module named 'typer'")).endswith("make setup")
    monkeypatch.setattr("site.ENABLE_USER_SITE", True)
    monkeypatch.setattr("site.getusersitepackages", lambda: "/home/ada/.local/site")
    assert cli.way_out(ImportError("from '/home/ada/.local/site/typer.py'")).endswith("export PYTHONNOUSERSITE=1")


def test_an_error_that_quotes_a_secret_is_shown_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli._cannot_start(ImportError("sent HF_TOKEN=x7Qm2kLp"))
    assert "sent HF_TOKEN=[secret]" in capsys.readouterr().err
