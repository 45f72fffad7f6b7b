"""Memory limits: what this process may take where that is less than the machine has, and who limits it.

The kernel applies the limits of a process's control group and of all its parents (cgroups(7), the kernel's
admin-guide/cgroup-v2 and cgroup-v1/memory), its resource limits (getrlimit(2)), and strict accounting of commitments
(vm.overcommit_memory). /proc/meminfo shows none of them.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dgxcert.machine import memory_limit_owners

PROC = Path("/proc")
UNLIMITED = 2**62
"""cgroup v1 writes "no limit" as the largest multiple of a page below 2^63."""
FILES = {
    2: (("memory.max", "memory.current"), ("memory.high", "memory.current")),
    1: (
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ("memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes"),
    ),
}
"""Files of a limit and of what is charged to it, by version. Above memory.high a process is slowed until it stands
still; memsw counts memory and swap together. memory.swap.max limits swap alone, which work does without."""
CACHE = ("inactive_file", "active_file")
"""Page cache in memory.stat, which the kernel reclaims before a group reaches its limit, as MemAvailable counts it."""
HIERARCHICAL = "hierarchical_memory_limit"
"""memory.stat of version 1: the smallest limit of a group and its parents, also of those that are not visible here."""
RESOURCES = {"Max address space": ("VmSize", "ulimit -v", "as"), "Max data size": ("VmData", "ulimit -d", "data")}
"""Line of /proc/self/limits: what counts towards it in /proc/self/status, the shell's command, limits.conf's item."""


@dataclass(frozen=True)
class MemoryLimit:
    """One limit, in bytes. `used` is what counts towards it and cannot be reclaimed.

    >>> job = MemoryLimit("memory.max of /job", "somebody by hand", size=8 * 2**30, used=3 * 2**30, remedy=())
    >>> job.available == 5 * 2**30, str(job)
    (True, 'memory.max of /job, set by somebody by hand: 8.00 GiB, 3.00 of them in use')
    """

    name: str
    set_by: str
    size: int
    used: int
    remedy: tuple[str, ...]

    @property
    def available(self) -> int:
        """What can still be taken."""
        return max(0, self.size - self.used)

    def __str__(self) -> str:
        gib = 2**30
        return f"{self.name}, set by {self.set_by}: {self.size / gib:.2f} GiB, {self.used / gib:.2f} of them in use"


@dataclass(frozen=True)
class GroupLimit:
    """One limit of a control group: the files to read, in `folder`, and the group's name as the kernel has it."""

    folder: Path
    group: str
    files: tuple[str, str]

    def size(self) -> int | None:
        """The limit in bytes; None where there is none."""
        return _limit(_text(self.folder / self.files[0]))

    def room(self, enough: int) -> int:
        """Bytes that can still be taken; reclaimable cache is only read where less than `enough` is left without it."""
        size, charged = self.size(), _number(_text(self.folder / self.files[1])) or 0
        left = UNLIMITED if size is None else size - charged
        return left if left >= enough else max(0, left + self._reclaimable())

    def read(self) -> MemoryLimit | None:
        """The limit with what is used of it; None where there is none."""
        size, charged = self.size(), _number(_text(self.folder / self.files[1])) or 0
        if size is None:
            return None
        owner = memory_limit_owners.find(self.group, self.folder / self.files[0])
        name = f"{self.files[0]} of {self.group}"
        return MemoryLimit(name, owner.name, size, max(0, charged - self._reclaimable()), owner.remedy)

    def _reclaimable(self) -> int:
        counts = stat(_text(self.folder / "memory.stat"))
        return sum(counts.get(f"total_{name}", counts.get(name, 0)) for name in CACHE)


def read() -> tuple[MemoryLimit, ...]:
    """All limits on this process, the one with the least room first; empty where only the machine limits it."""
    found = [limit for group in groups() if (limit := group.read()) is not None]
    found += [*_of_hidden_parents(found), *_of_resources(), *_of_commitments()]
    return tuple(sorted(found, key=lambda limit: limit.available))


def groups() -> tuple[GroupLimit, ...]:
    """The limits of this process's control groups that are set to something, in all mounted hierarchies."""
    found = []
    for version, top, folder, name in _hierarchies():
        for each in _upwards(version, top, folder):
            group = str(PurePosixPath(name, *each.relative_to(top).parts))
            found += [GroupLimit(each, group, files) for files in FILES[version]]
    return tuple(limit for limit in found if limit.size() is not None)


def _hierarchies() -> Iterator[tuple[int, Path, Path, str]]:
    """Of each hierarchy that may limit memory: version, mount point, this process's folder, the mount's group."""
    memberships = parse_memberships(_text(PROC / "self/cgroup"))
    for mount in parse_mounts(_text(PROC / "self/mountinfo")):
        path = memberships.get(mount.version)
        if path is not None:
            yield mount.version, mount.point, _folder(mount, path), mount.root if ".." not in mount.root else "/"


@dataclass(frozen=True)
class Mount:
    """A mounted hierarchy: its version, the group that is its root, and where it is."""

    version: int
    root: str
    point: Path


def parse_mounts(mountinfo: str) -> tuple[Mount, ...]:
    r"""The hierarchies in /proc/self/mountinfo that control memory.

    >>> parse_mounts("35 31 0:32 /docker/4f1 /sys/fs/cgroup/memory ro shared:9 - cgroup cgroup rw,memory\n")
    (Mount(version=1, root='/docker/4f1', point=PosixPath('/sys/fs/cgroup/memory')),)
    >>> parse_mounts("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n")[0].version
    2
    """
    mounts = []
    for line in mountinfo.splitlines():
        about, _, kind = line.partition(" - ")
        fields, types = about.split(), kind.split()
        if len(fields) < 5 or len(types) < 3 or not types[0].startswith("cgroup"):
            continue
        version = 2 if types[0] == "cgroup2" else 1
        if version == 2 or "memory" in types[2].split(","):
            mounts.append(Mount(version, _unescaped(fields[3]), Path(_unescaped(fields[4]))))
    return tuple(mounts)


def parse_memberships(cgroup: str) -> dict[int, str]:
    r"""Version: the group of this process, from /proc/self/cgroup.

    >>> parse_memberships("4:cpu,memory:/job_7\n1:name=systemd:/\n0::/user.slice\n")
    {1: '/job_7', 2: '/user.slice'}
    """
    groups = {}
    for line in cgroup.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            groups[2] = path
        elif "memory" in controllers.split(","):
            groups[1] = path
    return groups


def stat(text: str) -> dict[str, int]:
    r"""The counters of memory.stat.

    >>> stat("anon 4096\ninactive_file 8192\n")["inactive_file"]
    8192
    """
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _folder(mount: Mount, path: str) -> Path:
    """The folder of a group below its mount; the mount itself where a namespace hides where the group is."""
    inside = path.removeprefix(mount.root.rstrip("/")) if _is_below(path, mount.root) else path
    folder = mount.point / inside.lstrip("/")
    if ".." in mount.root:  # the namespace begins below the mount: only the list of processes shows where
        lists = mount.point.rglob("cgroup.procs")
        return next((each.parent for each in lists if str(os.getpid()) in _text(each).split()), mount.point)
    return folder if ".." not in path and folder.is_dir() else mount.point


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


def _upwards(version: int, top: Path, folder: Path) -> Iterator[Path]:
    """A group's folder and those of its parents, as far as they count: in version 1 a parent may leave that out."""
    yield folder
    for parent in folder.parents if folder != top else ():
        if version == 1 and _text(parent / "memory.use_hierarchy").strip() == "0":
            return
        yield parent
        if parent == top:
            return


def _of_hidden_parents(visible: list[MemoryLimit]) -> list[MemoryLimit]:
    """The limit of a parent above this namespace, which only version 1 tells."""
    smallest = min((limit.size for limit in visible), default=UNLIMITED)
    found = []
    for version, top, folder, name in _hierarchies():
        size = stat(_text(folder / "memory.stat")).get(HIERARCHICAL, UNLIMITED) if version == 1 else UNLIMITED
        if size < smallest:
            here = GroupLimit(folder, str(PurePosixPath(name, *folder.relative_to(top).parts)), FILES[1][0])
            used = max(0, (_number(_text(here.folder / here.files[1])) or 0) - here._reclaimable())
            owner = memory_limit_owners.find("/", folder / "memory.stat")
            found.append(MemoryLimit(f"{HIERARCHICAL} of {here.group}", owner.name, size, used, owner.remedy))
    return found


def _of_resources() -> list[MemoryLimit]:
    """Resource limits of this process on its address space and its data."""
    found = []
    status = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _text(PROC / "self/status"), re.MULTILINE))
    limits = dict(re.findall(r"^(Max [a-z ]+?)\s{2,}(\d+)\s", _text(PROC / "self/limits"), re.MULTILINE))
    for line, (counted, command, item) in RESOURCES.items():
        if line in limits:
            owner = memory_limit_owners.of_resource(command, item)
            used = int(status.get(counted, 0)) * 1024
            found.append(MemoryLimit(f"{line} of this process", owner.name, int(limits[line]), used, owner.remedy))
    return found


def _of_commitments() -> list[MemoryLimit]:
    """What may still be committed where the kernel accounts for it strictly."""
    if _text(PROC / "sys/vm/overcommit_memory").strip() != "2":
        return []
    kib = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _text(PROC / "meminfo"), re.MULTILINE))
    if not {"CommitLimit", "Committed_AS"} <= set(kib):
        return []
    owner, size, used = memory_limit_owners.COMMITMENTS, int(kib["CommitLimit"]), int(kib["Committed_AS"])
    return [MemoryLimit("CommitLimit with vm.overcommit_memory=2", owner.name, size * 1024, used * 1024, owner.remedy)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def _limit(text: str) -> int | None:
    size = _number(text)
    return None if size is None or size >= UNLIMITED else size


def _unescaped(path: str) -> str:
    """A path of mountinfo, where spaces and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
