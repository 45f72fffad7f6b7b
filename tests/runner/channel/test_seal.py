"""A sealed message is opened once, in order, and only by the other end of its own direction."""

import pytest

from dgxcert.runner.channel.seal import LONGEST, TO_CHILD, TO_SUPERVISOR, Forged, Seal, new_secret

SECRET = new_secret()


def test_messages_are_opened_in_their_order() -> None:
    mine, theirs = Seal(SECRET, TO_CHILD), Seal(SECRET, TO_CHILD)
    assert [theirs.opened(mine.sealed(each).rstrip(b"\n")) for each in (b"a", b"", b"b c")] == [b"a", b"", b"b c"]


@pytest.mark.parametrize("line", [b"", b"x", b"1", b"1 ", b"-1 00 a", b"1 zz a", b"9" * LONGEST, b"\x001 \xff \xfe"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(Forged):
        Seal(SECRET, TO_CHILD).opened(line)


def test_a_message_is_heard_once_and_none_is_left_out() -> None:
    mine, theirs = Seal(SECRET, TO_CHILD), Seal(SECRET, TO_CHILD)
    first, second, third = (mine.sealed(b"said").rstrip(b"\n") for _ in range(3))
    theirs.opened(first)
    for wrong in (first, third):
        with pytest.raises(Forged, match="and 2 was to come"):
            theirs.opened(wrong)
    assert theirs.opened(second) == b"said"


@pytest.mark.parametrize(
    "other", [Seal(new_secret(), TO_SUPERVISOR), Seal(SECRET, TO_CHILD)], ids=["another child", "the other direction"]
)
def test_another_secret_or_direction_is_refused(other: Seal) -> None:
    with pytest.raises(Forged, match="the secret of this child"):
        Seal(SECRET, TO_SUPERVISOR).opened(other.sealed(b"finished").rstrip(b"\n"))


def test_a_changed_message_is_refused() -> None:
    line = Seal(SECRET, TO_CHILD).sealed(b'"outcome":"failed"').rstrip(b"\n")
    with pytest.raises(Forged):
        Seal(SECRET, TO_CHILD).opened(line.replace(b"failed", b"passed"))


@pytest.mark.parametrize("message", [b"said", b""])
def test_a_message_has_one_spelling(message: bytes) -> None:
    line, theirs = Seal(SECRET, TO_CHILD).sealed(message).rstrip(b"\n"), Seal(SECRET, TO_CHILD)
    for other in (b"0" + line, line.replace(b"1 ", b"1  ", 1), line[:-1], line + b" "):
        with pytest.raises(Forged):
            theirs.opened(other)
    assert theirs.opened(line) == message


def test_the_secret_is_in_no_attribute_of_a_seal() -> None:
    assert SECRET not in str(vars(Seal(SECRET, TO_CHILD)))
    assert bytes.fromhex(SECRET) not in vars(Seal(SECRET, TO_CHILD)).values()
