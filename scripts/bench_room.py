"""What a room costs its controller: `scripts/bench_room.py events`, `runs` or `hosts`.

`events`: the events of 300 hosts over four hours, simulated, through the real conductor, journal and table.
`runs`: the runs of 10,000 machines merged, rebuilt from their records, then compared again (`bench_room_runs.py`).
`hosts`: thirty hosts on this computer, with sshd in network namespaces, validated over Ansible; as root.
"""

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import performance_page

from dgxcert.console import PlainConsole
from dgxcert.plan.suite import Suite
from dgxcert.record.room.word import Word
from dgxcert.room import folder, journal, live, state
from dgxcert.room.ansible import events
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.conduct.conductor import Answered, Conductor, Plan
from dgxcert.room.conduct.pace import Pace
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState, Stage

HOSTS, LOOKS = 300, 720
"""720 looks, one each 20 s, are four hours."""
REAL_HOSTS = 30
REQUIREMENTS = 120
SCREEN = 40
LIMIT_MIB = 1024

Row = tuple[str, str, str]


class Simulated:
    """A controller whose hosts answer at once, in JSON lines as Ansible's callback writes them."""

    def __init__(self, place: Path, looks: int) -> None:
        self.place, self.looks, self.events, self.bytes = place, looks, 0, 0
        self._looked: dict[str, int] = {}

    def play(
        self,
        play: Path,
        *,
        limit: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,  # noqa: ARG002 (nothing is played)
        on_event: Callable[[HostEvent], None],
    ) -> int:
        """One event of each host."""
        for host in limit:
            stage = Stage(play.stem)
            if stage is Stage.FETCHES:
                _pack(self.place / f"{host}.tgz")
            line = json.dumps(
                {"at": "2026-12-01T02:00:00+00:00", "event": "ok", "host": host, "task": play.stem}
                | self._said(host, stage)
            )
            self.events, self.bytes = self.events + 1, self.bytes + len(line)
            if (event := events.parse(line)) is not None:
                on_event(event)
        return 0

    def end(self) -> None:
        """Nothing is under way."""

    def _said(self, host: str, stage: Stage) -> dict[str, Any]:
        looked = self._looked[host] = self._looked.get(host, 0) + (stage is Stage.WORKS)
        ended = looked >= self.looks
        answer = {
            "state": "ended" if ended else "works",
            "exit": 0 if ended else None,
            "done": REQUIREMENTS * looked // self.looks,
            "total": REQUIREMENTS,
            "current": "COLLECTIVE-BANDWIDTH[all_reduce]",
            "left_s": 20.0 * (self.looks - looked),
            "run": f"2026-12-01T02-00-00Z-{host}",
            "said": "  5/120  container  COLLECTIVE-BANDWIDTH[all_reduce] 12 s",
        }
        return {"rc": 0, "stdout": json.dumps(answer), "stderr": ""}


def _pack(path: Path) -> None:
    with tarfile.open(path, "w:gz") as packed:
        member = tarfile.TarInfo("results/2026-12-01T02-00-00Z-run/run.json")
        member.size = 2
        packed.addfile(member, io.BytesIO(b"{}"))


class Script:
    """Plays of one task, named as their stage."""

    def __init__(self, place: Path) -> None:
        self._place = place
        for stage in Stage:
            self.play(stage).write_text(json.dumps([{"tasks": [{"name": stage.value}]}]), encoding="utf-8")

    def play(self, stage: Stage) -> Path:
        """The play of a stage."""
        return self._place / f"{stage}.yml"

    def variables(self, stage: Stage, names: Sequence[str], states: Mapping[str, HostState]) -> Mapping[str, Any]:  # noqa: ARG002 (a Script's signature)
        """None."""
        return {}

    def may_begin(self, stage: Stage, host: str, hosts: Mapping[str, HostState]) -> bool:  # noqa: ARG002 (the same)
        """Always."""
        return True

    def archive(self, host: str) -> Path:
        """Where `Simulated` packs it."""
        return self._place / f"{host}.tgz"

    def answered(self, host: str, output: str) -> Answered:
        """Nothing is wrong with it."""
        return Answered({"name": host, "said": output[:32]})


def conducted(place: Path, hosts: int, looks: int) -> dict[str, float]:
    """Conduct a simulated room as fast as it goes."""
    inventory = Inventory(
        place / "room.yaml", tuple(Host(f"spark-{n:03}", f"10.0.{n // 250}.{n % 250}") for n in range(hosts))
    )
    suite = Suite(version="1.0.0", sha256="0" * 64)
    room = folder.choose(place / "results", inventory, RoomOptions(), suite, datetime.now(UTC)).folder
    (place / "plays").mkdir()
    controller = Simulated(place / "plays", looks)
    plan = Plan(Pace(look_s=0.0, give_up_s=600), lambda event: (Word.NOT_STARTED, event.msg, ()), "dgxcert room run")
    screen = PlainConsole(file=io.StringIO(), width=160, height=SCREEN, force_terminal=True)
    with (
        live.TableView(screen) as view,
        Conductor(room, inventory, controller, Script(place / "plays"), plan, view) as conductor,
    ):
        while not conductor.done:
            conductor.step()
        conductor.write_hosts()
    began = time.process_time()
    again = state.fold(journal.read(room.events), conductor.hosts)
    if any(host.word is not Word.VALIDATED for host in again.values()):
        raise SystemExit("not every host was validated")
    return {
        "events": controller.events,
        "bytes": controller.bytes,
        "journal_bytes": room.events.stat().st_size,
        "read_s": time.process_time() - began,
    }


def drawn_ms(hosts: int) -> float:
    """Milliseconds to draw the table of a room once."""
    screen = PlainConsole(file=io.StringIO(), width=160, height=SCREEN, force_terminal=True)
    states = [
        HostState(f"spark-{n:03}", stage=Stage.WORKS, done=n, total=hosts, current="GPU-XID") for n in range(hosts)
    ]
    view = live.TableView(screen)
    for host in states:
        view.update(host)
    began, times = time.process_time(), 20
    with view:
        for _ in range(times):
            view.draw()
    return (time.process_time() - began) / times * 1000


def part_events(hosts: int, looks: int) -> list[Row]:
    """The events of a room, in a process of its own whose memory is measured."""
    began = time.monotonic()
    command = [sys.executable, __file__, "simulate", "--hosts", str(hosts), "--looks", str(looks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = json.loads(process.communicate()[0])
    mib = said["peak_mib"]
    count, per_event_us = int(said["events"]), 1e6 * said["processor_s"] / said["events"]
    return [
        (
            f"{hosts} hosts, {looks} looks at each: {count:,} events",
            f"{time.monotonic() - began:.0f} s",
            "for comparison",
        ),
        ("highest memory of the controller", f"{mib:.0f} MiB", f"under {LIMIT_MIB} MiB"),
        ("processor time for an event", f"{per_event_us:.0f} µs", "for comparison"),
        ("events.jsonl", f"{said['journal_bytes'] / 1e6:.1f} MB, read in {said['read_s']:.1f} s", "for comparison"),
        (f"the table of {hosts} hosts, drawn once", f"{said['drawn_ms']:.0f} ms", "under 100 ms"),
    ]


def simulate(hosts: int, looks: int) -> None:
    """In this process: print what it took."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-bench-") as place:
        said = conducted(Path(place), hosts, looks)
    processor_s = time.process_time()
    peak_kib = next(
        int(line.split()[1])
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        if "VmHWM" in line
    )
    print(json.dumps(said | {"processor_s": processor_s, "peak_mib": peak_kib / 1024, "drawn_ms": drawn_ms(hosts)}))


def main() -> None:
    """Measure and print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["events", "runs", "hosts", "simulate"])
    parser.add_argument("--hosts", type=int, help=f"{HOSTS} for `events`, {REAL_HOSTS} for `hosts`")
    parser.add_argument("--machines", type=int, default=10_000, help="of `runs`")
    parser.add_argument("--looks", type=int, default=LOOKS)
    parser.add_argument("--write", action="store_true", help="keep the table in docs/performance.md")
    options = parser.parse_args()
    if options.part == "simulate":
        simulate(options.hosts or HOSTS, options.looks)
    elif options.part == "runs":
        import bench_room_runs  # only this part needs what tests are made of

        with tempfile.TemporaryDirectory(prefix="dgxcert-bench-") as place:
            rows = bench_room_runs.part_runs(options.machines, Path(place))
        performance_page.show("bench-room-runs", rows, "synthetic runs", keep=options.write)
    elif options.part == "hosts":
        import bench_room_hosts  # as above

        rows = bench_room_hosts.part_hosts(options.hosts or REAL_HOSTS)
        performance_page.show("bench-room-hosts", rows, "simulated machines", keep=options.write)
    else:
        performance_page.show(
            "bench-room-events",
            part_events(options.hosts or HOSTS, options.looks),
            "simulated hosts",
            keep=options.write,
        )


if __name__ == "__main__":
    main()
