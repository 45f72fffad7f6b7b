"""COURSE-CONTAINER passes in the course's release and fails by name in another."""

from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.probes.stack import ngc
from dgxcert.probes.stack.ngc import Ngc

CONTAINER = check_file.load("course/test_release").test_the_container_is_the_release_of_the_course


def test_the_healthy_release_passes(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder]) -> None:
    monkeypatch.setattr(ngc, "read", lambda: Ngc("25.11", "241"))
    passes(CONTAINER)


def test_the_comparison_with_another_release_fails(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder]
) -> None:
    monkeypatch.setattr(ngc, "read", lambda: Ngc("25.09", "241"))
    fails(CONTAINER, by="release of NVIDIA's image")
