"""What a host said when it answered, and whether a validation can be begun there."""

import pytest

from dgxcert.record.room.word import Word
from dgxcert.room import answers
from dgxcert.room.answers import Answers
from dgxcert.room.inventory import Host

SAID = """Welcome to DGX OS\r
dgxcert time=1796092381.877\r
dgxcert user=lab\r
dgxcert architecture=aarch64\r
dgxcert kernel=6.17.0-1026-nvidia\r
dgxcert place=/home/lab/dgxcert-room\r
dgxcert python=3.12 /usr/bin/python3.12\r
dgxcert python=3.12 /usr/bin/python3\r
dgxcert engine=28.3.3\r
dgxcert machine-id=3d1219c7c4c5404aaa1f6d2a48adfda4\r
dgxcert product_serial=1420525001234\r
dgxcert bios_version=5.36_0ACUM018\r
dgxcert cmdline=BOOT_IMAGE=/vmlinuz root=/dev/nvme0n1p2 quiet\r
dgxcert host-key=ssh-ed25519 AAAA\r
dgxcert host-key=ssh-rsa BBBB\r
dgxcert free_kib=1000000\r
dgxcert answered=yes\r
"""


def test_everything_is_read_past_a_greeting() -> None:
    said = answers.parse(SAID)
    assert (said.user, said.architecture, said.python, said.free_kib) == ("lab", "aarch64", (3, 12), 1_000_000)
    assert (said.engine, said.has_engine, said.whole) == ("28.3.3", True, True)
    assert said.place == "/home/lab/dgxcert-room"
    assert set(said.identity) == {"machine-id", "serial", "SSH host key"}
    assert said.configuration["kernel command line"] == "BOOT_IMAGE=/vmlinuz root=/dev/nvme0n1p2 quiet"
    assert answers.wrong(said, Host("a", "a"), "dgx-spark") is None


def test_host_keys_are_one_in_whatever_order_they_are_listed() -> None:
    lines = SAID.splitlines()
    keys = [line for line in lines if "host-key" in line]
    turned = "\n".join([line for line in lines if line not in keys] + keys[::-1])
    assert answers.parse(turned).identity == answers.parse(SAID).identity


@pytest.mark.parametrize(
    ("engine", "works"),
    [("28.3.3", True), ("", False), ("permission denied while trying to connect", False), ("Cannot connect", False)],
)
def test_an_engine_is_there_only_where_it_says_its_version(engine: str, works: bool) -> None:
    assert Answers(engine=engine).has_engine is works


@pytest.mark.parametrize(
    "text", ["", "dgxcert user=lab", "dgxcert time=nan\ndgxcert free_kib=inf", "dgxcert python=x y"]
)
def test_half_an_answer_is_none(text: str) -> None:
    said = answers.parse(text)
    assert not said.whole
    assert (said.time_s, said.free_kib, said.python) == (None, None, None)


@pytest.mark.parametrize(
    ("version", "word"),
    [((3, 10), Word.NO_PYTHON), ((3, 14), Word.NO_PYTHON), ((2, 7), Word.NO_PYTHON), ((3, 11), None), ((3, 13), None)],
)
def test_only_a_python_that_dgxcert_runs_on_counts(version: tuple[int, int], word: Word | None) -> None:
    found = answers.wrong(Answers(pythons=((version, "python3"),), whole=True), Host("a", "a"), "cpu")
    assert (found[0] if found else None) is word


def test_a_prepared_environment_without_python_is_named() -> None:
    found = answers.wrong(Answers(whole=True), Host("a", "a", environment="/opt/dgxcert"), "cpu")
    assert found is not None
    assert "/opt/dgxcert has no Python" in found[1]


@pytest.mark.parametrize(
    ("profile", "architecture", "fits"),
    [
        ("dgx-spark", "aarch64", True),
        ("dgx-spark", "x86_64", False),
        ("dgx-h100", "aarch64", False),
        ("dgx-station-gb300", "x86_64", False),
        ("dgx-station-a100-80", "x86_64", True),
        ("auto", "riscv64", True),
        ("cpu", "x86_64", True),
    ],
)
def test_a_processor_that_the_profile_is_not_for_is_named(profile: str, architecture: str, fits: bool) -> None:
    said = Answers(architecture=architecture, pythons=(((3, 12), "python3"),), whole=True)
    found = answers.wrong(said, Host("a", "a"), profile)
    assert (found is None) is fits
    assert found is None or found[0] is Word.ARCHITECTURE


def test_less_space_is_wanted_where_the_environment_is_there() -> None:
    prepared, made = Host("a", "a", environment="/opt/dgxcert/"), Host("b", "b")
    wanted = answers.variables([prepared, made], "~/p", 20)["wanted_kib"]
    assert wanted == {"a": answers.PREPARED_KIB, "b": answers.MADE_KIB}
    assert answers.programs(prepared) == ["/opt/dgxcert/bin/python"]
