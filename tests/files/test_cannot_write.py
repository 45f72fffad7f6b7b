"""A file that cannot be written: the kernel's words, what that means, and a step that fits."""

import errno
import os
from pathlib import Path

import pytest

from dgxcert.files.atomic import write_text
from dgxcert.files.cannot_write import CAUSES, CannotWrite


@pytest.mark.parametrize("number", CAUSES)
def test_an_error_number_is_named_with_a_step(number: int) -> None:
    raised = CannotWrite(Path("results/a/run.json"), OSError(number, os.strerror(number)))
    assert f"results/a/run.json cannot be written: {os.strerror(number)}." in str(raised)
    assert raised.cause in {cause.name for cause in CAUSES.values()}
    assert "{" not in raised.step


def test_an_error_without_a_number_is_shown_as_it_is() -> None:
    assert "cannot be written: it is odd." in str(CannotWrite(Path("a"), OSError("it is odd")))


def test_a_missing_folder_is_told_from_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite) as refused:
        write_text(tmp_path / "missing" / "run.json", "")
    assert refused.value.cause == CAUSES[errno.ENOENT].name
