"""Base image: another torch fails, and so does any change that the guard reports."""

from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.probes.stack import base_image
from dgxcert.probes.stack.base_image import BaseImage

CHECK = check_file.load("stack/test_base_image").test_torch_is_the_base_images_own_build


@pytest.mark.parametrize(
    ("torch", "changed", "fault"),
    [
        ("2.10.0a0+b558.nv25.11", "nothing", None),
        ("2.10.0", "nothing", "suffix of torch's version"),
        ("2.10.0a0+b558.nv25.11", "numpy was 2.1 and is 2.4 now", "changed since the base image"),
    ],
)
def test_torch_must_be_the_base_images_own(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], torch: str, changed: str, fault: str | None
) -> None:
    monkeypatch.setattr(base_image, "read", lambda: BaseImage(torch, "nv25.11", changed))
    judge(CHECK, fault)
