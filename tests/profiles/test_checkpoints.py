"""Every checkpoint is pinned and has a purpose, and profiles need only those of the list."""

from pathlib import Path

import pytest

from dgxcert.profiles import profile
from dgxcert.profiles.checkpoints import FILE, KNOWN, parse


def test_every_checkpoint_is_pinned_and_has_a_purpose() -> None:
    assert {len(checkpoint.revision) for checkpoint in KNOWN.values()} == {40}
    assert all(checkpoint.purpose and checkpoint.files for checkpoint in KNOWN.values())
    assert all(pin.sha256 for checkpoint in KNOWN.values() for pin in checkpoint.files.values())
    assert KNOWN["gpt2"].answer is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("revision: 607a", "revision: main"),
        ("purpose: generates", "porpoise: generates"),
        ("sha256: 0daed", "sha256: zz"),
    ],
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
