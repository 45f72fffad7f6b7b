"""`validate --dry-run` tells what would run, and neither measures nor writes anything."""

from pathlib import Path

import pytest
from suites import example


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and when it was changed."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_a_dry_run_names_what_would_run_and_writes_nothing(dgxcert, own_suite: None, tmp_path: Path) -> None:
    file = example.profile_file(tmp_path)
    before = everything(tmp_path)
    done = dgxcert("validate", "--profile", str(file), "--runtime", "native", "--dry-run", "--results", "kept")
    assert not done.code, done
    assert everything(tmp_path) == before
    assert "Dry run: nothing is measured, nothing is written." in done.out
    assert "Would run:" in done.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--profile", "cpu", "--only", "NOSUCH"], ["NOSUCH"]),
        (["--profile", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--profile", "cpu", "--waivers", "nofile"], ["Waivers in nofile cannot be read"]),
        (["--resume", "latest"], ["--resume continues a run", "--dry-run"]),
    ],
)
def test_a_dry_run_of_what_cannot_start_is_refused_as_the_run_is(dgxcert, options: list[str], words: list[str]) -> None:
    dgxcert("validate", "--dry-run", *options).require_refused(*words)
