"""A room of hosts on this computer for `scripts/bench_room.py hosts`: namespaces with sshd, validated over Ansible."""

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from integration.room import hosts, namespaces  # noqa: E402 (the folder has just been named)
from integration.room.hosts import Room  # noqa: E402

from dgxcert.record.room import document  # noqa: E402

MEASURED = "GPU-PRESENT,DRIVER-BRANCH,GPU-XID"
"""What needs no torch: the hosts share this computer, and the controller is what is measured."""
SAMPLE_S = 0.5
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024

Row = tuple[str, str, str]


class Controller:
    """A call of `dgxcert room run`, sampled with all its processes."""

    def __init__(self, room: Room, results: Path) -> None:
        command = [sys.executable, "-P", "-m", "dgxcert", "room", "run", str(room.inventory), "--results", str(results)]
        settings = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self._began, self._before_s = time.monotonic(), _children_s()
        self._process = subprocess.Popen(
            [*command, "--runtime", "native", "--only", MEASURED], env=settings, stdout=subprocess.DEVNULL
        )
        self.processor_s = 0.0
        self.peak, self.most = 0, 0
        """Bytes in memory and the number of its processes, at most."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def wait(self) -> float:
        """Seconds that it took. Raises SystemExit where it could not start."""
        code = self._process.wait()
        taken, self.processor_s = time.monotonic() - self._began, _children_s() - self._before_s
        self._ended.set()
        self._thread.join()
        if code == 3:
            raise SystemExit("dgxcert room run could not start")
        return taken

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            processes = list(_below(self._process.pid))
            sizes = [size for pid in processes if (size := _resident(pid))]
            self.peak, self.most = max(self.peak, sum(sizes)), max(self.most, len(sizes))


def _children_s() -> float:
    """Seconds of the processor that ended children of this process took, with all that they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _resident(pid: int) -> int:
    """Bytes in memory that are a process's own, with its share of what it has in common with others."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def _below(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
    except OSError:
        return
    for child in children:
        yield from _below(child)


def _host_seconds(room: Room) -> list[float]:
    """Seconds of the processor that ended processes of each host took."""
    found = []
    for host in room.hosts:
        fields = Path(f"/proc/{room.first_process(host)}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        found.append((int(fields[13]) + int(fields[14])) / TICKS)
    return found


def part_hosts(count: int) -> list[Row]:
    """Measure a room of so many hosts. Raises SystemExit where none can be made, or where a host was not validated."""
    if problem := namespaces.unusable():
        raise SystemExit(f"no room can be made here: {problem}")
    began = time.monotonic()
    room = hosts.up(["healthy"] * count)
    up_s = time.monotonic() - began
    try:
        with tempfile.TemporaryDirectory(prefix="dgxcert-bench-") as place:
            before, controller = _host_seconds(room), Controller(room, Path(place))
            taken = controller.wait()
            each = sorted(after - one for after, one in zip(_host_seconds(room), before, strict=True))
            found = document.load((Path(place) / "rooms" / "latest").resolve())
    finally:
        hosts.down(room.number)
    if missing := [f"{host.name}: {host.word}: {host.said}" for host in found.hosts if not host.validated]:
        raise SystemExit("\n".join(missing))
    return [
        (f"{count} hosts made, with sshd", f"{up_s:.1f} s", "for comparison"),
        (f"{count} hosts validated (3 requirements without torch)", f"{taken:.0f} s", "for comparison"),
        ("processor time of the controller, Ansible and ssh", f"{controller.processor_s:.0f} s", "for comparison"),
        ("a host of it", f"{controller.processor_s / count:.1f} s", "for comparison"),
        ("highest memory of the controller, Ansible and ssh", f"{controller.peak / MIB:.0f} MiB", "for comparison"),
        ("their processes at most", f"{controller.most}", "for comparison"),
        ("processor time on a host, median", f"{each[len(each) // 2]:.1f} s", "for comparison"),
    ]
