"""Cables of an inventory: one link for all partners of a host, or one for each; what is open or wrong has its line."""

from pathlib import Path

import pytest
import yaml

from dgxcert.outcome import CannotStart
from dgxcert.room import cables, inventory
from dgxcert.room.cables import Link
from dgxcert.room.declarations import Places
from dgxcert.room.inventory import Host
from dgxcert.room.pairs import jobs

ROOT = Path(__file__).parents[2]
PAIRS = "pairs: [[a, b], [b, c], [c, a]]"
A = "{link_address: {b: [10.1.0.1, 10.1.1.1], c: [10.3.0.1, 10.3.1.1]}, link_port: {b: [p0, p1], c: [p2, p3]}}"
B = "{link_address: {a: [10.1.0.2, 10.1.1.2], c: [10.2.0.2, 10.2.1.2]}, link_port: {a: [p0, p1], c: [p2, p3]}}"
C = "{link_address: {b: [10.2.0.3, 10.2.1.3], a: [10.3.0.3, 10.3.1.3]}, link_port: {b: [p0, p1], a: [p2, p3]}}"


def room(a: str = A, b: str = B, c: str = C, pairs: str = PAIRS) -> str:
    """Hosts a, b and c stand in lines 4, 5 and 6."""
    return f"all:\n  vars: {{{pairs}, link_speed: 200}}\n  hosts:\n    a: {a}\n    b: {b}\n    c: {c}\n"


def read(folder: Path, text: str) -> list[Host]:
    """The hosts of an inventory, without Ansible, which takes a second to read one."""
    variables = yaml.safe_load(text)["all"]
    places, shared = Places(text, folder / "room.yaml"), variables.get("vars", {})
    hosts = []
    for name, own in variables["hosts"].items():
        link, links = cables.read(name, shared | own, places)
        hosts.append(Host(name, name, link=link, links=links))
    cables.require_fitting(hosts, [tuple(pair) for pair in shared.get("pairs", ())], places)
    return hosts


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(CannotStart) as raised:
        read(folder, text)
    return str(raised.value)


def test_each_pair_of_a_ring_has_its_own_link_at_each_end(tmp_path: Path) -> None:
    (tmp_path / "room.yaml").write_text(room(), encoding="utf-8")
    hosts = {host.name: host for host in inventory.read(tmp_path / "room.yaml").hosts}
    assert hosts["a"].link_to("b") == Link(("10.1.0.1", "10.1.1.1"), ("p0", "p1"), 200.0)
    assert hosts["a"].link_to("c") == Link(("10.3.0.1", "10.3.1.1"), ("p2", "p3"), 200.0)
    ends = hosts["c"].towards("a"), hosts["a"].towards("c")
    assert ends[0].links == {}
    look = jobs.link(*ends, "pair-1").program
    assert [look[at + 1] for at, word in enumerate(look) if word == "--half"] == [
        "p2=10.3.0.3=10.3.0.1",
        "p3=10.3.1.3=10.3.1.1",
    ]


def test_the_ring_of_the_guide_fits(tmp_path: Path) -> None:
    blocks = (ROOT / "docs" / "rooms.md").read_text(encoding="utf-8").split("```yaml\n")[1:]
    (ring,) = (block.partition("```")[0] for block in blocks if "link_address: {" in block)
    assert [len(host.links) for host in read(tmp_path, ring)] == [2, 2, 2]


def test_speed_and_mtu_may_differ_by_cable(tmp_path: Path) -> None:
    a = A[:-1] + ", link_speed: {b: 400}, link_mtu: {b: 9000, c: 1500}}"
    host = read(tmp_path, room(a))[0]
    assert [(host.link_to(name).gbits, host.link_to(name).mtu) for name in "bc"] == [(400.0, 9000), (None, 1500)]


def test_one_link_for_several_partners_is_a_switch(tmp_path: Path) -> None:
    flat = [f"{{link_address: [10.1.0.{number}, 10.1.1.{number}], link_port: [p0, p1]}}" for number in (1, 2, 3)]
    host = read(tmp_path, room(*flat))[0]
    assert host.link_to("b") == host.link_to("c") == host.link


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            room(a="{link_address: [10.1.0.1, 10.1.1.1], link_port: [p0, p1]}"),
            "line 4: host a has one link for b and c, and b has a cable of its own to it",
        ),
        (
            room(a=A.replace("c: [10.3.0.1, 10.3.1.1]", "d: 10.9.0.1")),
            "line 4: host a has a link to d, and is in no pair",
        ),
        (
            room(b="{link_address: {a: [10.1.0.2, 10.1.1.2]}, link_port: {a: [p0, p1]}}"),
            "line 5: host b is in a pair with c, and link_address names a alone",
        ),
        (
            room(c=C.replace("a: [10.3.0.3", "a: [10.2.0.3")),
            "line 6: link_address of host c has 10.2.0.3 for b and for a",
        ),
        (room(c=C.replace("[p2, p3]", "[p1, p3]")), "line 6: link_port of host c has p1 for b and for a"),
        (
            room(a=A.replace("10.1.0.1", "10.9.0.1").replace("10.3.0.1", "10.1.0.1")),
            "line 4: host a has 10.9.0.1 for b, which has 10.1.0.2 there",
        ),
        (
            room(b=B.replace("a: [10.1.0.2, 10.1.1.2]", "a: [10.1.1.2, 10.1.0.2]")),
            "10.1.1.1 of the other half would be in one subnet with it",
        ),
        (
            room(a="{link_address: {b: 10.1.0.1, c: 10.3.0.1}, link_port: p0}"),
            "line 4: of link_address and link_port of host a one is for each partner, and the other for all",
        ),
        (room(a=A.replace("10.3.1.1", "10.3.1.300")), "line 4: link_address of host a to c must be an IP address"),
        (room(a=A.replace("[p2, p3]", "[p2]")), "line 4: link_port of host a to c must be as many as link_address has"),
    ],
    ids=[
        "one link among own cables",
        "no such pair",
        "no link for a pair",
        "address twice",
        "port twice",
        "address of another pair",
        "halves swapped",
        "mixed",
        "no address",
        "halves",
    ],
)
def test_what_is_open_or_wrong_is_named_with_its_host_and_line(text: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in refusal(tmp_path, text)


def test_two_flat_cables_in_a_row_cannot_be_one_link(tmp_path: Path) -> None:
    flat = ["[10.1.0.1, 10.1.1.1]", "[10.1.0.2, 10.1.1.2]", "[10.2.0.3, 10.2.1.3]"]
    a, b, c = (f"{{link_address: {each}, link_port: [p0, p1]}}" for each in flat)
    said = refusal(tmp_path, room(a, b, c, pairs="pairs: [[a, b], [b, c]]"))
    assert "line 5: host b has 10.1.0.2 for c, which has 10.2.0.3 there" in said
    assert "Give each half of each cable a subnet of its own" in said


def test_a_vault_is_no_link_for_each_partner(tmp_path: Path) -> None:
    vault = "!vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          6162\n"
    (tmp_path / "room.yaml").write_text(f"all:\n  hosts:\n    a:\n      link_port: {vault}", encoding="utf-8")
    with pytest.raises(CannotStart, match="link_port of host a is encrypted"):
        inventory.read(tmp_path / "room.yaml")


def test_the_line_is_left_out_where_a_group_gives_the_variable(tmp_path: Path) -> None:
    said = refusal(tmp_path, "all:\n  vars: {link_speed: fast}\n  hosts: {a: {}}\n")
    assert "room.yaml: link_speed of host a must be a number" in said
