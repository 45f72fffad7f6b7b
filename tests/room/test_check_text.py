"""What `dgxcert room check` prints of hosts that are ready, and of those that are not."""

from dataclasses import replace

from dgxcert.machine.runtime import RuntimeChoice
from dgxcert.record.room.word import Word
from dgxcert.room import check, check_text
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.answers import Answers
from dgxcert.room.check import Checked
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions

SAID = Answers(
    user="dgx",
    login="lab",
    architecture="aarch64",
    time_s=1000.0,
    free_kib=812 * 1024**2,
    pythons=(((3, 12), "/usr/bin/python3"),),
    engine="28.3.3",
    whole=True,
)
READY = Checked(Host("spark-01", "10.0.0.1", sudo_user="dgx"), SAID, 0.0, None)


def refused(name: str) -> Checked:
    return Checked(Host(name, name), Answers(), None, (Word.REFUSED, f"connect to {name}: refused", ("Start it.",)))


def test_a_table_of_80_columns_says_who_logs_in_and_who_works() -> None:
    table = check_text.lines([READY], ["suite: x"], 80)
    assert table[1].split("  ")[:3] == ["spark-01", "lab, sudo dgx", "right"]
    assert all(len(line) <= 80 for line in table)
    assert table[-1] == "1 of 1 host ready to be validated."


def test_where_the_table_is_too_wide_each_host_has_two_lines() -> None:
    long = replace(READY, host=replace(READY.host, name="spark-in-the-third-rack-of-the-lab", sudo_user=""))
    shown = check_text.lines([long], [], 60)
    assert shown[1] == "  lab · clock right · 812 GiB free · engine 28.3.3 · Python 3.12 · aarch64"


def test_what_is_wrong_stands_last_once_for_all_that_have_it() -> None:
    shown = check_text.lines([refused("a"), READY, refused("b")], ["suite: x"], 80)
    assert shown[-6:] == [
        "2 hosts not ready: refused",
        "  a: connect to a: refused",
        "  b: connect to b: refused",
        "  1. Start it.",
        "",
        "1 of 3 hosts ready to be validated, 2 not.",
    ]


def test_a_clock_that_would_spoil_a_signature_is_told_of() -> None:
    shown = check_text.lines([replace(READY, apart_s=-400.0)], [], 80)
    assert any(line.startswith("spark-01: its clock is -400 s from here") for line in shown)


def answered(engine: str, runtime: RuntimeChoice = RuntimeChoice.DOCKER) -> Checked:
    said = f"dgxcert user=lab\ndgxcert engine={engine}\ndgxcert python=3.12 /p\ndgxcert answered=yes\n"
    event = HostEvent("", "ok", "a", "answers", rc=0, stdout=said)
    return check.checked(Host("a", "a"), event, RoomOptions(profile="cpu", runtime=runtime), 0.0, 1.0)


def test_a_host_without_the_engine_that_it_needs_is_not_ready() -> None:
    assert answered("28.3.3").wrong is None
    assert answered("", RuntimeChoice.NATIVE).wrong is None
    for engine, remedy in (
        ("permission denied while trying to connect to the Docker daemon socket", "usermod -aG docker"),
        ("Cannot connect to the Docker daemon. Is the docker daemon running?", "systemctl start docker"),
        ("sh: 1: docker: not found", "Install Docker"),
        ("", "docker version"),
    ):
        wrong = answered(engine).wrong
        assert wrong is not None
        assert wrong[0] is Word.NOT_STARTED
        assert remedy in wrong[2][0]
