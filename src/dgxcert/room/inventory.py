"""The inventory of a room: a lab's own Ansible inventory, and what dgxcert reads from it.

```yaml
all:
  vars:
    ansible_user: lab
    pairs: [[spark-01, spark-02]]
  hosts:
    spark-01: {ansible_host: 10.0.0.1, link_address: [192.168.100.1, 192.168.101.1], link_port: [p0, p1]}
    spark-02: {ansible_host: 10.0.0.2, link_address: [192.168.100.2, 192.168.101.2], link_port: [p0, p1]}
```
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dgxcert import command, near_miss
from dgxcert.console import on_one_line
from dgxcert.outcome import CannotStart
from dgxcert.profiles import profile as profiles
from dgxcert.room import cables, declarations
from dgxcert.room.ansible import environment
from dgxcert.room.ansible.private import PrivateFolder
from dgxcert.room.cables import Link
from dgxcert.room.declarations import Places

READ_S = 60.0
NAMED = 5
HANDED_ON = (
    "ansible_port",
    "ansible_user",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
    "ansible_become_method",
)
"""Variables of Ansible's that say how to log in, which dgxcert hands on as they are."""
VAULT = "__ansible_vault"
"""The key of an encrypted value, as ansible-inventory shows it."""
SECRET = re.compile(r"ansible_.*(?:pass(?:word|phrase)?|_pass)$")
OURS = ("dgxcert_profile", "dgxcert_environment", *cables.VARIABLES, "pairs")
"""The variables that dgxcert itself reads; everything else in an inventory is left alone."""


@dataclass(frozen=True)
class Host:
    """One machine of a room."""

    name: str
    address: str
    """What SSH connects to (`ansible_host`)."""
    profile: str = "auto"
    """`dgxcert_profile`."""
    sudo_user: str = ""
    """Whom it works as by sudo (`ansible_become` with `ansible_become_user`); "" for who logs in."""
    environment: str = ""
    """An environment that the lab has prepared there (`dgxcert_environment`), whose Python has what dgxcert needs; ""
    has one made in the room's folder on the host."""
    link: Link = field(default_factory=Link)
    """To every partner that has none of its own in `links`."""
    links: Mapping[str, Link] = field(default_factory=dict, hash=False)
    """Of a host with several cables: that to each partner."""
    variables: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What else Ansible needs to log in: see `HANDED_ON`."""

    def link_to(self, partner: str) -> Link:
        """This host's end of the cable to a partner.

        >>> ring = Host("a", "10.0.0.1", links={"b": Link(("192.168.100.1",)), "c": Link(("192.168.104.1",))})
        >>> ring.link_to("c").addresses
        ('192.168.104.1',)
        """
        return self.links.get(partner, self.link)

    def towards(self, partner: str) -> "Host":
        """The host as its pair with a partner meets it: with the link of that cable alone."""
        return replace(self, link=self.link_to(partner), links={})


@dataclass(frozen=True)
class Inventory:
    """The hosts of a room in the order of the inventory, and the pairs that cables join."""

    path: Path
    hosts: tuple[Host, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should know of it, such as a password that stands in it."""


def read(path: Path) -> Inventory:
    """Read a lab's inventory, in every format that Ansible reads.

    Raises CannotStart where Ansible is not installed or cannot read it, where it has no host, and for a value that
    dgxcert cannot use, with its host and name.
    """
    text = declarations.require_readable(path)
    declarations.require_once(text, path)
    places = Places(text, path)
    listed = _listed(path, text)
    variables: dict[str, dict[str, Any]] = listed.get("_meta", {}).get("hostvars", {})
    names = list(dict.fromkeys([*_in_order(listed, "all"), *variables]))
    if not names:
        raise CannotStart(f"{path} has no host.", "Name the machines below all: hosts: in it.")
    hosts = tuple(_host(name, variables.get(name, {}), path, places) for name in names)
    _require_different(hosts, path)
    pairs = _pairs([variables.get(name, {}).get("pairs") for name in names], names, path)
    cables.require_fitting(hosts, pairs, places)
    return Inventory(path, hosts, pairs, tuple(_notes(variables, path)))


def _listed(path: Path, text: str) -> dict[str, Any]:
    """The inventory as `ansible-inventory --list` has it."""
    with PrivateFolder() as folder:
        env = environment.variables(folder, folder / "known_hosts")
        args = [*environment.program("inventory"), "-i", str(path.resolve()), "--list"]
        done = command.run(args, timeout_s=READ_S, cwd=path.resolve().parent, env=env)
    try:
        listed = json.loads(done.stdout)
    except ValueError:
        listed = None
    if done.returncode != 0 or not isinstance(listed, dict):
        raise declarations.unreadable(done.stderr, text, path)
    return listed


def _in_order(listed: Mapping[str, Any], group: str) -> Iterator[str]:
    """The hosts of a group and of those below it."""
    about = listed.get(group, {})
    for child in about.get("children", ()):
        yield from _in_order(listed, child)
    yield from about.get("hosts", ())


def _host(name: str, given: Mapping[str, Any], path: Path, places: Places) -> Host:
    for key in (
        *HANDED_ON,
        *(name for name in OURS if name != "pairs"),
        "ansible_host",
        "ansible_become",
        "ansible_become_user",
    ):
        if "{{" in str(given.get(key)):
            raise CannotStart(
                f"{path}: {key} of host {name} is a template, {on_one_line(str(given[key]))[:60]}, which dgxcert does "
                "not fill in.",
                "Write its value there.",
            )
        if isinstance(given.get(key), dict) and (key not in cables.VARIABLES or VAULT in given[key]):
            raise CannotStart(
                f"{path}: {key} of host {name} is encrypted by Ansible Vault, or is no single value.",
                "Write it in plain: it is no password; passwords are asked for.",
            )
    if (connection := given.get("ansible_connection", "ssh")) not in (
        "ssh",
        "smart",
        "paramiko",
        "ansible.builtin.ssh",
    ):
        raise CannotStart(
            f"{path}: host {name} has ansible_connection {connection!r}, and a room is reached by SSH alone.",
            "Leave ansible_connection out; validate this machine itself with: make validate",
        )
    link, links = cables.read(name, given, places)
    become = str(given.get("ansible_become", False)).lower() in ("true", "yes", "1", "on")
    return Host(
        name=name,
        address=str(given.get("ansible_host", name)),
        profile=_profile(str(given.get("dgxcert_profile", "auto")), name, path),
        sudo_user=str(given.get("ansible_become_user", "root")) if become else "",
        environment=str(given.get("dgxcert_environment", "")),
        link=link,
        links=links,
        variables={key: _placed(key, given[key], path) for key in HANDED_ON if key in given},
    )


def _placed(key: str, value: Any, path: Path) -> Any:
    """A value for Ansible, which works in another folder: a key's file lies here, or beside the inventory."""
    if key != "ansible_ssh_private_key_file":
        return value
    file = Path(str(value)).expanduser()
    return str((file if file.exists() else path.parent / file).absolute())


def _profile(name: str, host: str, path: Path) -> str:
    """The name of a profile that ships. Raises CannotStart for another: a host has no other."""
    known = profiles.names()
    if name not in ("auto", *known):
        near = near_miss.sentence(name, known)
        raise CannotStart(f"{path}: host {host} has dgxcert_profile {on_one_line(name)[:60]!r}.", near)
    return name


def _require_different(hosts: tuple[Host, ...], path: Path) -> None:
    """Raise CannotStart where two names lead to one address: a machine would be measured beside itself."""
    places = Counter((host.address, str(host.variables.get("ansible_port", 22))) for host in hosts)
    for (address, port), times in places.items():
        if times > 1:
            names = [
                host.name
                for host in hosts
                if (host.address, str(host.variables.get("ansible_port", 22))) == (address, port)
            ]
            raise CannotStart(
                f"{path}: {' and '.join(names[:NAMED])} have the same address, {address} port {port}.",
                "Keep one of them.",
            )


def _pairs(given: list[Any], names: list[str], path: Path) -> tuple[tuple[str, str], ...]:
    """The pairs of all hosts' variables; a pair is the same in both directions."""
    found: dict[frozenset[str], tuple[str, str]] = {}
    for pairs in given:
        if pairs is None:
            continue
        if not isinstance(pairs, list):
            raise CannotStart(f"{path}: pairs must be a list of pairs, found {str(pairs)[:60]!r}.", PAIRS_ARE)
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(end, str) for end in pair):
                raise CannotStart(f"{path}: a pair must be two names of hosts, found {str(pair)[:60]!r}.", PAIRS_ARE)
            first, second = pair
            for end in pair:
                if end not in names:
                    near = near_miss.sentence(end, names)
                    raise CannotStart(f"{path}: pair {first}, {second}: there is no host {end}.", near, PAIRS_ARE)
            if first == second:
                raise CannotStart(f"{path}: a pair must be two hosts, found {first} twice.", PAIRS_ARE)
            found.setdefault(frozenset(pair), (first, second))
    return tuple(found.values())


PAIRS_ARE = "Write it so: pairs: [[spark-01, spark-02], [spark-03, spark-04]]"


def _notes(variables: Mapping[str, Mapping[str, Any]], path: Path) -> Iterator[str]:
    secret = [name for name, given in variables.items() if any(SECRET.fullmatch(key) for key in given)]
    if secret:
        hosts = ", ".join(secret[:NAMED]) + (f" and {len(secret) - NAMED} more" if len(secret) > NAMED else "")
        yield (
            f"{path} holds a password of {hosts}, which dgxcert does not use: take it out, and have it asked for: "
            "--ask-password, --ask-sudo-password"
        )
    for name, given in variables.items():
        for key in given:
            if key.startswith(("dgxcert_", "link_")) and key not in OURS:
                yield f"{path}: host {name} has {key}, which dgxcert does not know: {near_miss.hint(key, OURS)}"
                return
