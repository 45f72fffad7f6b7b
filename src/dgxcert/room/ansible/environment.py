"""The environment in which Ansible works for a room: the user's settings of Ansible, and secrets, are not in it."""

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from dgxcert.outcome import CannotStart

HERE = Path(__file__).parent
KEPT = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "TERM", "TMPDIR", "USER")
"""What is handed on of this process's environment: no token is needed to drive a host."""
CONNECT_S = 10
SHARED = {"ControlMaster": "auto", "ControlPersist": "30s"}
ALONE = {"ControlMaster": "no", "ControlPersist": "no", "ControlPath": "none"}
CONFIG = "ssh_config"
USUAL = ("~/.ssh/config", "/etc/ssh/ssh_config")
"""What ssh reads without `-F`, in its order: what it meets first counts."""
ALIVE_S, ALIVE_COUNT = 5, 3


def ssh_options(known_hosts: Path, private: Path, *, shared: bool = True) -> list[str]:
    """Options of ssh for every connection of a room; what stands first in ssh's command line counts.

    A host that is seen for the first time is pinned; one whose key has changed is refused, whatever the inventory or
    the user's ssh_config says. The sockets are those of one call: a shared connection would let a wrong password in.

    A jump host gets none of these options from ssh, but the configuration that `-F` names: `write_ssh_config`. Whoever
    comes through one shares no connection: ssh drops what a jump host says where it does (sshconnect.c), so that a
    changed key would read as "Connection closed by UNKNOWN port 65535".

    >>> ssh_options(Path("known_hosts"), Path("/tmp/p"))[:4]
    ['-F', '/tmp/p/ssh_config', '-o', 'StrictHostKeyChecking=accept-new']
    """
    options = _host_keys(known_hosts) | (SHARED | {"ControlPath": _quoted(private / "c" / "%C")} if shared else ALONE)
    options |= {
        "ServerAliveInterval": str(ALIVE_S),
        "ServerAliveCountMax": str(ALIVE_COUNT),
        "ConnectTimeout": str(CONNECT_S),
        "ForwardAgent": "no",
        "ForwardX11": "no",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["-F", str(private / CONFIG), *words]


def _host_keys(known_hosts: Path) -> dict[str, str]:
    return {
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": _quoted(known_hosts.resolve()),
        "GlobalKnownHostsFile": "/dev/null",
        "HashKnownHosts": "no",  # whoever takes a line out must find it
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
    }


def write_ssh_config(private: Path, known_hosts: Path) -> None:
    """Write the configuration that ssh, and the ssh that it starts for a jump host, reads in place of the user's.

    The user's own stands in it below ours, so that what it says of users, keys and ways to hosts counts.
    """
    ours = [f"{name} {value}" for name, value in _host_keys(known_hosts).items()]
    (private / CONFIG).write_text("\n".join([*ours, *(f"Include {path}" for path in USUAL)]) + "\n", encoding="utf-8")


def _quoted(path: Path) -> str:
    """A path for ssh, which takes a space as the end of one."""
    return f'"{path}"' if " " in str(path) else str(path)


def variables(private: Path, known_hosts: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of every program of Ansible's; `private` is a folder that nobody else can enter."""
    for name in ("home", "tmp", "c"):
        (private / name).mkdir(mode=0o700, exist_ok=True)
    settings = private / "ansible.cfg"
    settings.touch()
    write_ssh_config(private, known_hosts)
    kept = {name: value for name, value in environment.items() if name in KEPT}
    programs = str(Path(sys.executable).parent)  # ssh asks for a password by the program `ansible`, found on PATH
    return kept | {
        "PATH": f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(settings),  # the user's own would decide over ours, and /dev/null is refused
        "ANSIBLE_HOME": str(private / "home"),
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        "ANSIBLE_PIPELINING": "True",  # so that modules leave nothing on a host
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_SSH_ARGS": shlex.join(ssh_options(known_hosts, private)),
        "ANSIBLE_TIMEOUT": str(CONNECT_S),
        "ANSIBLE_STDOUT_CALLBACK": "room_events",
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_ACTION_PLUGINS": str(HERE / "action"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }


def program(name: str) -> list[str]:
    """A program of Ansible's, of this Python: `playbook`, `inventory`. Raises CannotStart where it is not installed."""
    if importlib.util.find_spec("ansible") is None:
        raise CannotStart(
            "A room is driven by Ansible, which is not installed.", "Install it: pip install 'dgxcert[room]'"
        )
    return [sys.executable, "-P", "-m", "ansible", name]  # -P: what lies beside an inventory is no module of ours
