"""What Ansible, SSH, sudo and hosts say, each with its word."""

import pytest

from dgxcert.record.room.word import Word
from dgxcert.room import words
from dgxcert.room.ansible.events import HostEvent

SSH = "Task failed: Failed to connect to the host via ssh: "
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key verification failed."""

SAID = [
    ("unreachable", f"{SSH}ssh: connect to host 10.0.0.4 port 22: Connection refused", Word.REFUSED),
    ("unreachable", f"{SSH}ssh: connect to host 10.0.0.4 port 22: No route to host", Word.NO_ROUTE),
    ("unreachable", f"{SSH}ssh: connect to host 10.0.0.4 port 22: Network is unreachable", Word.NO_ROUTE),
    ("unreachable", f"{SSH}ssh: connect to host 10.0.0.4 port 22: Connection timed out", Word.NO_ROUTE),
    ("unreachable", f"{SSH}ssh: Could not resolve hostname spark-04: Name or service not known", Word.NO_ROUTE),
    ("unreachable", f"{SSH}ssh: Could not resolve hostname a: Temporary failure in name resolution", Word.NO_ROUTE),
    ("unreachable", f"{SSH}Connection timed out during banner exchange", Word.TIME_OUT),
    ("unreachable", f"{SSH}kex_exchange_identification: Connection closed by remote host", Word.TIME_OUT),
    ("failed", "Timed out after 20 second(s).", Word.TIME_OUT),
    ("unreachable", f"{SSH}{CHANGED}", Word.KEY_CHANGED),
    (
        "failed",
        "Using a SSH password instead of a key is not possible because Host Key checking is enabled and sshpass",
        Word.KEY_CHANGED,
    ),
    ("unreachable", f"{SSH}lab@10.0.0.4: Permission denied (publickey,password).", Word.PASSWORD),
    ("unreachable", "Invalid/incorrect password: Permission denied, please try again.", Word.PASSWORD),
    ("unreachable", f"{SSH}Received disconnect from 10.0.0.4: 2: Too many authentication failures", Word.PASSWORD),
    ("failed", "Missing sudo password", Word.SUDO),
    ("failed", "Incorrect sudo password", Word.SUDO),
    ("failed", "lab is not in the sudoers file.", Word.SUDO),
    ("failed", "sudo: a password is required", Word.SUDO),
    ("failed", "Timeout (12s) waiting for privilege escalation prompt: ", Word.SUDO),
    ("failed", "sh: 1: printf: I/O error: No space left on device", Word.DISK),
    ("failed", "mkdir: cannot create directory: Read-only file system", Word.DISK),
    ("failed", "mkdir: cannot create directory: Disk quota exceeded", Word.DISK),
    ("failed", "/bin/sh: 1: /usr/bin/python3: not found", Word.NO_PYTHON),
    ("failed", "The module interpreter '/usr/bin/python3' was not found.", Word.NO_PYTHON),
    ("failed", "something that nobody has seen yet", Word.NOT_STARTED),
    ("unreachable", "something that nobody has seen yet", Word.TIME_OUT),
]


@pytest.mark.parametrize(("kind", "msg", "word"), SAID, ids=[str(at) for at in range(len(SAID))])
def test_each_message_has_its_word_and_a_remedy(kind: str, msg: str, word: Word) -> None:
    found, said, remedy = words.explain(HostEvent("", kind, "spark-04", "answers", rc=1, msg=msg))  # type: ignore[arg-type]
    assert found is word
    assert said
    assert remedy


@pytest.mark.parametrize("msg", [SAID[0][1], SAID[1][1], "Timed out after 30 second(s).", "Shared connection closed."])
def test_a_host_that_had_answered_died_on_the_way(msg: str) -> None:
    assert words.explain(HostEvent("", "unreachable", "spark-04", "works", msg=msg))[0] is Word.DIED


def test_the_sentence_is_of_the_message_that_the_word_is_of() -> None:
    said = f"{SSH}lab@door: Permission denied (publickey).\r\nConnection closed by UNKNOWN port 65535"
    word, sentence, _ = words.explain(HostEvent("", "unreachable", "a", "answers", msg=said))
    assert (word, sentence) == (Word.PASSWORD, "Permission denied (publickey)")


def test_a_changed_key_is_shown_with_how_it_is_forgotten() -> None:
    said = """The fingerprint for the ED25519 key sent by the remote host is\r
SHA256:gmbeOv2wFlnpVi49J6paTuRenCvyjQk/1wvUNxXhIUA.\r
Offending ED25519 key in /home/ada/my results/known:1\r
Host key for [10.0.0.4]:2222 has changed and you have requested strict checking.\r
Host key verification failed."""
    _, sentence, remedy = words.explain(HostEvent("", "unreachable", "a", "answers", msg=said))
    assert sentence.endswith("it shows ED25519 SHA256:gmbeOv2wFlnpVi49J6paTuRenCvyjQk/1wvUNxXhIUA")
    assert remedy[-1].endswith("ssh-keygen -f '/home/ada/my results/known' -R '[10.0.0.4]:2222'")


def test_a_changed_key_is_one_also_on_the_way() -> None:
    assert words.explain(HostEvent("", "unreachable", "a", "works", msg=CHANGED))[0] is Word.KEY_CHANGED


def test_what_the_host_itself_says_is_the_sentence() -> None:
    event = HostEvent(
        "", "failed", "a", "answers", rc=1, stdout="dgxcert user=lab\r\ndgxcert wrong=disk: 12 KiB are free\r\n"
    )
    assert words.explain(event)[:2] == (Word.DISK, "12 KiB are free")


def test_a_sentence_is_one_line_without_what_steers_a_terminal() -> None:
    said = words.explain(HostEvent("", "failed", "a", "begins", msg="bad\x1b[2J\nlast\x07 line" + "x" * 5000))[1]
    assert "\n" not in said
    assert said.isprintable()
    assert len(said) <= words.SAID_CHARS
