"""A lab's inventory, in every format that Ansible reads: hosts, links and pairs, or what is wrong with them."""

from pathlib import Path

import pytest

from dgxcert.outcome import CannotStart
from dgxcert.room import inventory
from dgxcert.room.inventory import Inventory


def read(folder: Path, text: str, name: str = "room.yaml") -> Inventory:
    (folder / name).write_text(text, encoding="utf-8")
    return inventory.read(folder / name)


def refusal(folder: Path, text: str, name: str = "room.yaml") -> str:
    with pytest.raises(CannotStart) as raised:
        read(folder, text, name)
    return str(raised.value)


def hosts(*lines: str, all_vars: str = "") -> str:
    listed = "".join(f"    {line}\n" for line in lines)
    return f"all:\n  vars: {{{all_vars}}}\n  hosts:\n{listed}"


def test_hosts_with_their_links_and_pairs(tmp_path: Path) -> None:
    link = "link_address: [192.168.100.1, 192.168.101.1], link_port: [p0, p1], link_speed: 200, link_mtu: 9000"
    found = read(
        tmp_path,
        hosts(
            f"b: {{ansible_host: 10.0.0.2, {link}, dgxcert_profile: dgx-spark}}",
            "a: {ansible_become: true, dgxcert_environment: /opt/dgxcert}",
            all_vars="pairs: [[b, a], [a, b]], ansible_user: lab",
        ),
    )
    first, second = found.hosts
    assert (first.name, first.address, first.profile, first.sudo_user) == ("b", "10.0.0.2", "dgx-spark", "")
    assert (first.link.addresses, first.link.ports) == (("192.168.100.1", "192.168.101.1"), ("p0", "p1"))
    assert (first.link.gbits, first.link.mtu) == (200.0, 9000)
    assert (second.address, second.sudo_user, second.environment) == ("a", "root", "/opt/dgxcert")
    assert found.pairs == (("b", "a"),)
    assert first.variables == {"ansible_user": "lab"}


def test_the_format_of_ini_with_ranges_and_groups(tmp_path: Path) -> None:
    text = "[sparks]\nspark-[01:03] ansible_user=lab\n[sparks:vars]\ndgxcert_profile=dgx-spark\n"
    found = read(tmp_path, text, "hosts.ini")
    assert [host.name for host in found.hosts] == ["spark-01", "spark-02", "spark-03"]
    assert {host.profile for host in found.hosts} == {"dgx-spark"}


def test_variables_of_groups_beside_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("ansible_user: lab\npairs: [[a, b]]\n", encoding="utf-8")
    found = read(tmp_path, hosts("a: {}", "b: {}"))
    assert (found.pairs, found.hosts[0].variables["ansible_user"]) == ((("a", "b"),), "lab")


def test_a_port_a_jump_host_and_another_user_for_sudo_are_kept(tmp_path: Path) -> None:
    jump = "ansible_ssh_common_args: '-o ProxyJump=door', ansible_port: 2222, ansible_host: 'fe80::1'"
    (host,) = read(tmp_path, hosts(f"a: {{{jump}, ansible_become: yes, ansible_become_user: dgx}}")).hosts
    assert host.variables == {"ansible_ssh_common_args": "-o ProxyJump=door", "ansible_port": 2222}
    assert (host.address, host.sudo_user) == ("fe80::1", "dgx")


@pytest.mark.parametrize(
    "key",
    ["ansible_password", "ansible_ssh_pass", "ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"],
)
def test_a_password_in_it_is_neither_used_nor_kept_and_the_user_is_told(key: str, tmp_path: Path) -> None:
    found = read(tmp_path, hosts(f"a: {{{key}: geheim}}"))
    assert "geheim" not in repr(found)
    assert "holds a password of a, which dgxcert does not use" in found.notes[0]


@pytest.mark.parametrize(
    "key", ["ansible_ssh_args", "ansible_ssh_extra_args", "ansible_host_key_checking", "ansible_ssh_executable"]
)
def test_what_would_switch_off_the_checking_of_host_keys_is_not_handed_on(key: str, tmp_path: Path) -> None:
    assert read(tmp_path, hosts(f"a: {{{key}: 'x'}}")).hosts[0].variables == {}


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ("[[a, c]]", "there is no host c"),
        ("[[a, a]]", "found a twice"),
        ("[[a]]", "must be two names"),
        ("[[a, b, a]]", "must be two names"),
        ("[[a, 1]]", "must be two names"),
        ("[a, b]", "must be two names"),
        ("a-b", "must be a list"),
        ("{a: b}", "must be a list"),
    ],
)
def test_a_pair_that_is_none_is_refused_with_how_it_is_written(pairs: str, wanted: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, hosts("a: {}", "b: {}", all_vars=f"pairs: {pairs}"))
    assert wanted in said
    assert "Write it so: pairs: [[" in said


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ("link_address: 192.168.100.300", "link_address of host a must be an IP address"),
        ("link_address: [1.1.1.1, 1.1.1.1]", "two different ones"),
        ("link_address: [1.1.1.1, 1.1.1.2, 1.1.1.3]", "two different ones"),
        ("link_address: [1.1.1.1, 1.1.1.2], link_port: p0", "as many as link_address has, which are 2"),
        ("link_speed: fast", "link_speed of host a must be a number"),
        ("link_mtu: -1", "a number above 0"),
        ("link_port: [1]", "a text"),
        ("ansible_connection: local", "a room is reached by SSH alone"),
    ],
)
def test_a_wrong_value_is_named_with_its_host(variables: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in refusal(tmp_path, hosts(f"a: {{{variables}}}"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all: {hosts: {}}", "has no host"),
        ("all: [", "is no inventory that Ansible reads"),
        ("just text", "is no inventory|has no host"),
        (hosts("a: {ansible_host: 10.0.0.1}", "b: {ansible_host: 10.0.0.1}"), "a and b have the same address"),
    ],
    ids=["empty", "broken", "text", "twice"],
)
def test_a_file_without_usable_hosts_is_refused(text: str, wanted: str, tmp_path: Path) -> None:
    import re

    assert re.search(wanted, refusal(tmp_path, text))


def test_two_hosts_at_one_address_with_two_ports_are_two(tmp_path: Path) -> None:
    there = "ansible_host: 10.0.0.1, ansible_port:"
    assert len(read(tmp_path, hosts(f"a: {{{there} 22}}", f"b: {{{there} 2222}}")).hosts) == 2


def test_values_of_a_vault_are_named_as_what_they_are(tmp_path: Path) -> None:
    vault = "!vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          6162\n"
    said = refusal(tmp_path, f"all:\n  hosts:\n    a:\n      ansible_user: {vault}")
    assert "ansible_user of host a is encrypted by Ansible Vault" in said


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"There is no inventory .*room.yaml"):
        inventory.read(tmp_path / "room.yaml")


def test_a_variable_of_ours_that_is_misspelt_is_noted(tmp_path: Path) -> None:
    (note,) = read(tmp_path, hosts("a: {link_adress: 10.0.0.1}")).notes
    assert "link_adress" in note
    assert "did you mean 'link_address'" in note


def test_the_settings_of_the_user_do_not_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\ninventory = /nowhere\n[inventory]\nenable_plugins = ini\n")
    monkeypatch.setenv("ANSIBLE_INVENTORY_ENABLED", "ini")
    monkeypatch.chdir(tmp_path)
    assert len(read(tmp_path, hosts("a: {}")).hosts) == 1


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        (
            hosts("a: {ansible_host: 10.0.0.1}", "a: {ansible_host: 10.0.0.2}"),
            "r.yaml",
            "line 5: a is given twice, first in line 4",
        ),
        (hosts("a: {ansible_host: 10.0.0.1, ansible_host: 10.0.0.2}"), "r.yml", "ansible_host is given twice"),
        (
            "all:\n  children:\n    x: {hosts: {a: {ansible_host: 10.0.0.1}}}\n"
            "    y: {hosts: {a: {ansible_host: 10.0.0.2}}}\n",
            "r.yaml",
            "host a has ansible_host",
        ),
        (
            "[x]\na ansible_host=10.0.0.1\n[y]\na ansible_host=10.0.0.2\n",
            "r.ini",
            "line 4: host a has ansible_host 10.0.0.2, and in line 2",
        ),
        (hosts("a: {ansible_host: '{{ inventory_hostname }}.lab'}"), "r.yaml", "is a template"),
        (hosts("a: {dgxcert_profile: dgx-sparc}"), "r.yaml", "dgx-spark"),
    ],
    ids=["host", "key", "two-groups", "ini", "template", "profile"],
)
def test_what_ansible_would_take_in_silence_is_refused(text: str, name: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in refusal(tmp_path, text, name)


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        (
            "all:\n  hosts:\n    a: {x: 1\n    b: {}\n",
            "r.yaml",
            "r.yaml, line 4: this is no inventory that Ansible reads",
        ),
        (
            '[x]\nb\na ansible_password="geheim\n',
            "r.ini",
            "line 3: this is no inventory that Ansible reads: No closing",
        ),
        ("$ANSIBLE_VAULT;1.1;AES256\n6162\n", "r.yaml", "is encrypted by Ansible Vault, and dgxcert decrypts nothing"),
    ],
    ids=["yaml", "ini", "vault"],
)
def test_what_ansible_cannot_read_is_named_by_its_line_and_not_shown(
    text: str, name: str, wanted: str, tmp_path: Path
) -> None:
    said = refusal(tmp_path, text, name)
    assert wanted in said
    assert "geheim" not in said


def test_an_encrypted_file_of_variables_is_named(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    said = refusal(tmp_path, hosts("a: {}"))
    assert f"{tmp_path / 'group_vars' / 'all.yml'} is encrypted by Ansible Vault" in said


def test_a_host_may_stand_in_several_groups_and_repeat_its_address(tmp_path: Path) -> None:
    text = "[x]\na ansible_host=10.0.0.1\nb\n[y]\na ansible_host=10.0.0.1\nb\n"
    assert [host.name for host in read(tmp_path, text, "r.ini").hosts] == ["a", "b"]


def test_a_folder_is_refused_with_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(hosts("a: {}"))
    with pytest.raises(CannotStart, match=r"is a folder.*hosts\.yml"):
        inventory.read(tmp_path)


def test_a_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "room.yaml")
    with pytest.raises(CannotStart, match="it is a FIFO"):
        inventory.read(tmp_path / "room.yaml")


def test_a_key_file_is_found_beside_the_inventory(tmp_path: Path) -> None:
    (host,) = read(tmp_path, hosts("a: {ansible_ssh_private_key_file: keys/lab}")).hosts
    assert host.variables["ansible_ssh_private_key_file"] == str(tmp_path / "keys" / "lab")
