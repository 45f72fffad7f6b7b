"""Owners of memory limits: who sets the limit of a control group, by the group's name, and how it is raised."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Owner:
    """Who set a limit, and the steps that look at it and raise it."""

    name: str
    remedy: tuple[str, ...]


KUBERNETES = Owner(
    "Kubernetes",
    ("Raise resources.limits.memory of the pod: kubectl explain pod.spec.containers.resources.limits",),
)
SLURM = Owner(
    "Slurm",
    ("Ask for more memory when the job is started; --mem=0 asks for all of the node: srun --mem=0 --pty bash",),
)
PBS = Owner("PBS", ("Ask for more memory when the job is submitted: qsub -l mem=100gb",))
CONDOR = Owner("HTCondor", ("Ask for more memory in the job's description: request_memory = 100GB",))
LXC = Owner(
    "LXC or Incus", ("On the host of this container, raise its limit: lxc config set NAME limits.memory 100GiB",)
)
DOCKER = Owner(
    "Docker",
    (
        "Raise the container's limit, on the host: docker update --memory 100g --memory-swap 100g CONTAINER",
        "Start the next one without --memory, and in a compose file without mem_limit and deploy.resources.limits.",
    ),
)
PODMAN = Owner("Podman", ("Raise the container's limit, on the host: podman update --memory 100g CONTAINER",))
CONTAINER = Owner(
    "whatever started this container",
    (
        "Raise the container's limit, on its host: docker update --memory 100g --memory-swap 100g CONTAINER",
        "Start the next one without --memory, and in a compose file without mem_limit and deploy.resources.limits; "
        "in Kubernetes raise resources.limits.memory.",
    ),
)
COMMITMENTS = Owner(
    "the administrator of this machine",
    (
        "See how much is committed: grep Commit /proc/meminfo",
        "Let the kernel commit more than it has, as it does by default: sudo sysctl vm.overcommit_memory=0",
    ),
)

NAMES: tuple[tuple[str, Owner], ...] = (
    (r"kubepods|/crio-|cri-containerd", KUBERNETES),
    (r"slurm", SLURM),
    (r"/pbs_jobs|/pbspro|/pbs\b", PBS),
    (r"htcondor|/condor", CONDOR),
    (r"/lxc[./]", LXC),
    (r"/docker-[0-9a-f]{12,}\.scope|/docker/|/docker$", DOCKER),
    (r"/libpod|/podman", PODMAN),
)
"""Part of a group's name: its owner. Names are those that kubelet, CRI-O, containerd, slurmd, PBS, HTCondor, LXC,
runc's cgroup drivers and Podman give."""
UNIT = re.compile(r"\.(slice|scope|service)$")


def find(group: str, file: Path) -> Owner:
    """The owner of a group's limit; `file` holds the limit.

    >>> find("/system.slice/docker-4f1c0b6ad0e2.scope", Path("memory.max")).name
    'Docker'
    >>> find("/user.slice/user-1000.slice", Path("memory.max")).name
    'systemd (user-1000.slice)'
    """
    for name, owner in NAMES:
        if re.search(name, group):
            return owner
    if UNIT.search(group):
        return _systemd(group)
    if group == "/":  # the kernel limits no root: this is the root of a namespace
        return CONTAINER
    unlimited = "-1" if file.name.endswith("_in_bytes") else "max"
    return Owner(
        "somebody by hand",
        (f"See what the limit is: cat {file}", f"Lift it: echo {unlimited} | sudo tee {file}"),
    )


def of_resource(command: str, item: str) -> Owner:
    """The owner of a resource limit, which the shell sets with `command`, and limits.conf(5) as `item`."""
    return Owner(
        f"the shell or the service that started this (`{command}`)",
        (
            f"Find what sets it: grep -rE 'ulimit|[[:space:]]{item}[[:space:]]' ~/.profile ~/.bashrc "
            "/etc/security/limits.conf /etc/security/limits.d",
            f"Lift it in this shell, then run this again: {command} unlimited",
            f"Lift it for all logins with lines `* soft {item} unlimited` and `* hard {item} unlimited` in "
            "/etc/security/limits.conf, then log in again.",
        ),
    )


def _systemd(group: str) -> Owner:
    """systemd, and its unit of that name: one of a user's own manager lies below `user@UID.service`."""
    unit = PurePosixPath(group).name
    of_user = "/user@" in group and not unit.startswith("user@")
    systemctl, sudo = ("systemctl --user", "") if of_user else ("systemctl", "sudo ")
    return Owner(
        f"systemd ({unit})",
        (
            f"See what the limit is: {systemctl} show -p MemoryMax,MemoryHigh,FragmentPath,DropInPaths {unit}",
            f"Lift it until the next start: {sudo}{systemctl} set-property --runtime {unit} MemoryMax=infinity "
            "MemoryHigh=infinity",
            f"Remove MemoryMax= and MemoryHigh= from the unit to lift it for good: {sudo}{systemctl} edit {unit}",
        ),
    )
