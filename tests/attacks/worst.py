"""What the inside of a container does at its worst: a line `name<tab>why it failed` each; `container.py` types it in.

An attempt that succeeds prints `done`, and none may. What is planted in the container's own folder is no attempt.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

OWN = Path("/results")
MARK = "between-us"
"""Part of every secret that the host holds while this runs."""
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x20000
PTRACE_ATTACH = 16


def plant() -> None:
    """Leave in the own folder what a reader might follow, open, or wait for."""
    (OWN / "kept").mkdir(exist_ok=True)
    for folder in (OWN, OWN / "kept"):
        (folder / "benchmark-901.json").symlink_to("/etc/passwd")
        (folder / "benchmark-902.json").symlink_to("../records.jsonl")
        (folder / "benchmark-903.json").symlink_to("../../../precious")
        os.mkfifo(folder / "benchmark-904.json")
        (folder / "benchmark-905.json").mkdir()
        (folder / "benchmark-906.json").symlink_to("/proc/self/environ")
        (folder / "benchmark-907.json").write_text('{"benchmarks": 1e400, "machine_info": ' + "[" * 50_000)
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
            listening.bind(str(folder / "benchmark-908.json"))
    (OWN / "logs").symlink_to("..")
    (OWN / os.fsdecode(b"\xff\xfe\n\x1b[2J.json")).write_text("{}")
    with (OWN / "benchmark-909.json").open("wb") as sparse:
        sparse.truncate(10**12)


def errno(call: Callable[..., int], *arguments: object) -> None:
    """Call a function of the C library. Raises OSError."""
    if call(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def filled(folder: str, at_most: int) -> None:
    """Fill a folder. Raises OSError once it is full; returns where it takes more than it should."""
    written = 0
    with open(f"{folder}/filling", "wb") as file:
        while written < at_most:
            written += file.write(bytes(2**20))
            file.flush()
    os.unlink(f"{folder}/filling")


def forked(at_most: int) -> None:
    """Fork children that wait. Raises OSError at the limit of processes."""
    children = []
    try:
        for _ in range(at_most):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def seen_in_other_processes() -> None:
    """Look for a secret of the host in every process. Raises PermissionError where there is none to see."""
    for proc in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline", "root/etc/precious-of-attack"):
            with contextlib.suppress(OSError):
                if MARK.encode() in (proc / name).read_bytes():
                    return
    raise PermissionError(1, "no process of the host is to be seen")


def signalled_the_host() -> None:
    """Signal every number that a process of the host may have. Raises ProcessLookupError where none is reached."""
    own = {int(path.name) for path in Path("/proc").glob("[0-9]*")}
    for pid in range(2, 70_000):
        if pid not in own:
            with contextlib.suppress(OSError):
                os.kill(pid, 0)
                return
    raise ProcessLookupError(3, "no process of the host is reached")


def found_shared_memory() -> None:
    """Look for the shared memory of the host. Raises FileNotFoundError."""
    if any(Path("/dev/shm").glob(f"{MARK}*")) or MARK in Path("/proc/sysvipc/shm").read_text():
        return
    raise FileNotFoundError(2, "no memory of the host is to be seen")


def asked_again() -> None:
    """Ask for what was handed to the entry."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect("/run/dgxcert/handover")


def attempts(other: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """What must fail; `other` is another user of the cache."""
    for path in ("/usr/x", "/etc/x", "/opt/x", "/run/x", "/run/hub/x", "/run/dgxcert/x", "/cache/x", "/sys/x"):
        yield f"write {path}", Path(path).touch
    for path in ("/run/secrets/hf_token", "/run/secrets/authority", "/proc/sys/kernel/core_pattern", "/etc/passwd"):
        yield f"change {path}", lambda path=path: open(path, "r+b").close()  # type: ignore[misc]
    yield "another's cache", Path(f"/cache/{other + 1}").mkdir
    yield "into another's cache", Path(f"/cache/{other}/x").touch
    yield "read another's cache", lambda: os.listdir(f"/cache/{other}")
    yield "replace another's cache", lambda: os.rename(f"/cache/{other}", f"/cache/{other}.mine")
    yield "take the cache", lambda: os.chown("/cache", os.getuid(), os.getgid())
    yield "open the cache", lambda: os.chmod("/cache", 0o777)
    yield "replace the token", lambda: os.rename("/run/hub/token", "/run/hub/x")
    yield "above the own folder", lambda: os.stat("/results/../records.jsonl")
    yield "become root", lambda: os.setuid(0) if os.getuid() else os.setgroups([0])
    yield "take the groups", lambda: os.setgroups([0, 4, 27])
    yield "a device", lambda: os.mknod("/results/disk", 0o60666, os.makedev(8, 0))
    yield "a mount", lambda: errno(LIBC.mount, b"tmpfs", b"/results", b"tmpfs", 0, None)
    yield "a namespace", lambda: errno(LIBC.unshare, CLONE_NEWUSER | CLONE_NEWNS)
    yield "trace the first process", lambda: errno(LIBC.ptrace, PTRACE_ATTACH, 1, None, None)
    yield "memory of the first process", lambda: os.close(os.open("/proc/1/mem", os.O_RDWR))
    yield "files of the first process", lambda: os.readlink("/proc/1/fd/0")
    yield "a new root", lambda: os.chroot("/tmp")
    yield "the clock", lambda: errno(LIBC.settimeofday, (ctypes.c_long * 2)(1, 0), None)
    yield "the name", lambda: socket.sethostname("precious")
    yield "priority", lambda: os.nice(-5)
    yield "more files than allowed", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    yield "processes of the host", seen_in_other_processes
    yield "signal the host", signalled_the_host
    yield "shared memory of the host", found_shared_memory
    yield "ask for the hand-over again", asked_again
    yield "fill /tmp", lambda: filled("/tmp", 64 * 2**20)
    yield "fill /dev/shm", lambda: filled("/dev/shm", 96 * 2**20)
    yield "a file of 200 GiB", lambda: os.truncate("/results/benchmark-909.json", 200 * 2**30)


def main(other: int) -> None:
    """Plant, then try each attempt."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        plant()
    for name, attempt in attempts(other):
        try:
            attempt()
            why = "done"
        except (OSError, ValueError) as error:  # a limit that may not be raised is a ValueError
            why = getattr(error, "strerror", None) or str(error)
        sys.stdout.write(f"\n{name}\t{why}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
