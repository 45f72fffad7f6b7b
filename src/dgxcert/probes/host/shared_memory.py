"""Shared memory: what /dev/shm offers to the workers of a DataLoader, and how many files a process may open.

torch hands a batch over in a file that shm_open(3) creates in /dev/shm, and keeps its descriptor open until the batch
is freed (torch.multiprocessing, sharing strategy `file_descriptor`, the default on Linux).
"""

import os
import re
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path

SHM = Path("/dev/shm")  # noqa: S108 (shm_open(3) creates its files there)
MOUNTS = Path("/proc/self/mountinfo")
MIB = 1024**2

SMALL = (
    "See how large it is, and what uses it: df -h /dev/shm; ls -lS /dev/shm",
    "Start a container with the shared memory of its host, or with more of its own: docker run --ipc=host, or "
    "docker run --shm-size=1g; in a compose file `ipc: host` or `shm_size: 1g`; in Kubernetes an emptyDir with "
    "`medium: Memory` at /dev/shm.",
    'Change the default of all containers with `"default-shm-size": "1g"` in /etc/docker/daemon.json, then run: '
    "sudo systemctl restart docker",
    "Enlarge it outside of a container: sudo mount -o remount,size=50% /dev/shm",
)
FULL = (
    "Find what fills it; files called torch_… and psm_… of programs that have ended are left over: ls -lS /dev/shm",
    "End the programs that use it, then delete the files that no program has open; a restart deletes all: sudo reboot",
    *SMALL[1:2],
)
CLOSED = (
    "See whether it is there, and who may write to it: findmnt /dev/shm; ls -ld /dev/shm",
    "Mount it where it is missing: sudo mount -t tmpfs -o rw,nosuid,nodev,mode=1777 tmpfs /dev/shm",
    "Let everybody write to it where it is mounted: sudo mount -o remount,rw,mode=1777 /dev/shm",
    *SMALL[1:2],
)
FILES = (
    "See the limit: ulimit -n",
    "Raise it in this shell, then run this again: ulimit -n 65536",
    "Raise it for all logins with lines `* soft nofile 65536` and `* hard nofile 65536` in /etc/security/limits.conf; "
    "for a container with: docker run --ulimit nofile=65536",
)


@dataclass(frozen=True)
class SharedMemory:
    """Sizes in MiB; `closed` says why no file can be created there, and is empty where one can.

    >>> SharedMemory(64.0, 64.0, "tmpfs, rw,nosuid").remedy(at_least_mib=166) == SMALL
    True
    """

    total_mib: float
    free_mib: float
    mount: str
    closed: str = ""

    @property
    def usable_mib(self) -> float:
        """What files there can take."""
        return 0.0 if self.closed else self.free_mib

    @property
    def source(self) -> str:
        """Where the figures come from, and what limits them."""
        about = f"statvfs of {SHM}: {self.mount}, {self.total_mib:.0f} MiB in all"
        return f"{about}; {self.closed}" if self.closed else about

    def remedy(self, at_least_mib: float) -> tuple[str, ...]:
        """How to get enough of it, by whether it is closed, too small, or filled; empty where it is enough."""
        if self.closed:
            return CLOSED
        if self.free_mib >= at_least_mib:
            return ()
        return SMALL if self.total_mib < at_least_mib else FULL


def read() -> SharedMemory:
    """The shared memory of this process; never raises, since a folder that is missing is a finding."""
    mount = parse(MOUNTS.read_text(encoding="utf-8", errors="replace"), str(SHM)) if MOUNTS.exists() else ""
    described = mount or "not mounted, a folder of another file system"
    try:
        sizes = os.statvfs(SHM)
        with tempfile.NamedTemporaryFile(dir=SHM) as file:
            os.posix_fallocate(file.fileno(), 0, 1)
    except OSError as error:
        return SharedMemory(0.0, 0.0, described, f"no file can be created there: {error.strerror or error}")
    # f_bavail is what a user without privileges may take; a tmpfs without a limit says 0 of 0
    unlimited = sizes.f_blocks == 0
    total, free = (blocks * sizes.f_frsize / MIB for blocks in (sizes.f_blocks, sizes.f_bavail))
    return SharedMemory(*((float(2**40),) * 2 if unlimited else (total, free)), described)


def parse(mountinfo: str, path: str) -> str:
    r"""Type and options of the file system that is mounted at a path, from /proc/self/mountinfo; empty for none.

    >>> parse("45 22 0:39 / /dev/shm rw,nosuid,nodev - tmpfs shm rw,size=65536k\n", "/dev/shm")
    'tmpfs, rw,nosuid,nodev, rw,size=65536k'
    """
    found = ""
    for line in mountinfo.splitlines():  # of several at one place the last one is visible
        fields = line.split()
        if len(fields) > 6 and fields[4] == path and "-" in fields:
            kind = fields[fields.index("-") + 1 :]
            found = ", ".join([kind[0], fields[5], *kind[2:]])
    return found


def open_files() -> int:
    """How many files this process may open (RLIMIT_NOFILE, the soft limit)."""
    return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def explains(error: str) -> tuple[str, ...]:
    """The steps for what a failed loader says about shared memory or open files; empty where it says neither.

    >>> explains("unable to allocate shared memory(shm) for file </torch_1_2_0>: No space left on device (28)") == SMALL
    True
    >>> explains("received 0 items of ancdata") == FILES
    True
    """
    if re.search(r"Too many open files|ancdata|Errno 24|ulimit -n", error):
        return FILES
    if re.search(r"Read-only file system|Permission denied|No such file or directory", error) and "shm" in error:
        return CLOSED
    if re.search(r"shared memory|\bshm\b|Bus error|No space left on device", error):
        return SMALL
    return ()
