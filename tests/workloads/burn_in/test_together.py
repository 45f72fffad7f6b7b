"""All devices burn in at the same time, in real processes: a fault of one is named, what was measured is kept."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.burn_in import log, loop, together
from dgxcert.workloads.burn_in.log import Cycle, Pause
from dgxcert.workloads.distributed import launch

CPUS = tuple(Device("cpu", index, "CPU", margin_gib=0.1) for index in range(2))
THREE = (*CPUS, Device("cpu", 2, "CPU", margin_gib=0.1))
MINUTES = 0.02


@pytest.fixture(scope="module")
def short() -> Profile:
    """The profile of a CPU, with small work in short cycles."""
    shipped = profiles.load("cpu")
    sizes = {
        "matmul": shipped.workloads.matmul.model_copy(update={"size": 128, "products": 1}),
        "bandwidth": shipped.workloads.bandwidth.model_copy(update={"size_mib": 1}),
        "burn_in": shipped.workloads.burn_in.model_copy(update={"cycle_s": 0.1, "steps": 1}),
    }
    return shipped.model_copy(update={"workloads": shipped.workloads.model_copy(update=sizes)})


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Plant a fault in the last rank."""

    def planted(fault: str) -> None:
        monkeypatch.setenv("PLANTED", fault)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        monkeypatch.setattr(launch, "PACKAGE", "planted")
        monkeypatch.setattr(together, "MODULE", "lying")

    return planted


@pytest.fixture(autouse=True)
def _nothing_is_left(forked: None) -> Iterator[None]:
    """No process that a test started is left."""
    before = below(os.getpid())
    yield
    deadline = time.monotonic() + 10
    while below(os.getpid()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert below(os.getpid()) - before == set()


def below(pid: int) -> set[int]:
    """The processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.setdefault(int(place.read_text().rpartition(")")[2].split()[1]), []).append(int(place.parent.name))
    found, waiting = set(), [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found |= set(children)
        waiting += children
    return found


def burn(devices: tuple[Device, ...], short: Profile, folder: Path, minutes: float = MINUTES) -> object:
    lines: list[str] = []
    return together.all_at_once(devices, short, minutes, folder, lines.append)


def cycles(folder: Path, index: int) -> int:
    return len(log.summary_of(folder / f"burn-in-cpu{index}.jsonl").cycles)


def test_all_devices_work_at_the_same_time_and_resume_where_they_were(short: Profile, tmp_path: Path) -> None:
    lines: list[str] = []
    burnt = together.all_at_once(CPUS, short, MINUTES, tmp_path, lines.append)
    assert burnt.minutes >= MINUTES
    assert (burnt.total("wrong_values"), burnt.total("changed_results"), burnt.differences) == (0, 0, ())
    numbers = [[cycle.number for cycle in summary.cycles] for summary in burnt.summaries.values()]
    assert numbers[0] == numbers[1] == list(range(1, len(numbers[0]) + 1))
    starts = [[cycle.at - cycle.seconds for cycle in summary.cycles] for summary in burnt.summaries.values()]
    apart = [abs(first - second) for first, second in zip(*starts, strict=True)]
    assert sorted(apart)[len(apart) // 2] < 0.1, "they begin each cycle together"
    assert lines[-1].startswith(f"{burnt.minutes:.1f} of 0.02 min on 2 devices; slowest is rank ")
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == ["burn-in-cpu0.jsonl", "burn-in-cpu1.jsonl"]
    longer = together.all_at_once(CPUS, short, 2 * MINUTES, tmp_path, lines.append)
    assert longer.minutes >= 2 * MINUTES
    assert longer.common.keys() >= burnt.common.keys()
    assert (longer.most("interruptions"), longer.next_number) == (1, len(longer.common) + 1)
    assert loop.finished(CPUS[1], tmp_path, 2 * MINUTES).minutes >= 2 * MINUTES


def test_a_cpu_and_a_single_gpu_burn_in_alone(short: Profile, tmp_path: Path) -> None:
    burnt = together.run(CPUS, short, 0.01, tmp_path, lambda _: None)
    assert list(burnt.summaries) == ["rank 0"]
    assert burnt.alone is not None
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["burn-in-cpu0.jsonl"]
    assert {cycle.number for cycle in burnt.alone.cycles} == {None}
    assert burnt.alone.settings.keys().isdisjoint({"kind", "together"})


@pytest.mark.catches("BURN-IN", "one GPU of three that gives the same wrong product in every cycle")
def test_a_device_that_is_wrong_each_time_alike_is_named(
    short: Profile, tmp_path: Path, plant: Callable[[str], None]
) -> None:
    plant("other product")
    burnt = together.all_at_once(THREE, short, MINUTES, tmp_path, lambda _: None)
    assert burnt.total("changed_results") == 0
    assert {(each.odd, each.certain) for each in burnt.differences} == {(("rank 2",), True)}
    assert burnt.told[0].startswith("rank 2: other product than its siblings in ")
    assert "first in cycle 1 at " in burnt.told[0]


@pytest.mark.catches("BURN-IN", "one GPU of two whose trained weights change after two cycles")
def test_a_device_that_changes_is_named_with_the_cycle(
    short: Profile, tmp_path: Path, plant: Callable[[str], None]
) -> None:
    plant("flipped weights")
    burnt = together.all_at_once(CPUS, short, MINUTES, tmp_path, lambda _: None)
    assert (burnt.differences[0].number, burnt.differences[0].odd) == (3, ("rank 1",))
    assert burnt.total("changed_results") == len(burnt.common) - 2


def test_a_rank_that_dies_is_named_and_what_was_measured_is_kept(
    short: Profile, tmp_path: Path, plant: Callable[[str], None]
) -> None:
    plant("dies")
    with pytest.raises(Inconclusive, match=r"rank 1 was killed by signal 9, last at: cycle 3") as raised:
        burn(CPUS, short, tmp_path, 1.0)
    assert "of 1 min on all devices are kept" in raised.value.problem
    assert cycles(tmp_path, 1) == 2
    began_with = cycles(tmp_path, 0) + 1  # the other one may have been ended before its third was on the disk
    plant("nothing")
    resumed = together.all_at_once(CPUS, short, MINUTES, tmp_path, lambda _: None)
    assert (3 in resumed.common, {1, 2, began_with} <= resumed.common.keys()) == (began_with == 3, True)
    assert resumed.most("interruptions") == 1


def test_a_rank_that_hangs_is_named_by_those_that_wait(
    short: Profile, tmp_path: Path, plant: Callable[[str], None]
) -> None:
    plant("hangs")
    with pytest.raises(Inconclusive, match="waited 3 s in vain for rank 1; "):
        burn(CPUS, short, tmp_path, 1.0)
    assert (cycles(tmp_path, 0), cycles(tmp_path, 1)) == (3, 2)


def test_a_rank_with_other_settings_than_its_log_leaves_all_logs_as_they_are(short: Profile, tmp_path: Path) -> None:
    paths = [loop.path_of(device, tmp_path) for device in CPUS]
    log.append_start(paths[1], {"torch": "another"}, 0, None)
    before = paths[1].read_bytes()
    with pytest.raises(Inconclusive, match=r"rank 1: this burn-in was started with .*torch 'another', now "):
        burn(CPUS, short, tmp_path)
    assert (paths[0].exists(), paths[1].read_bytes()) == (False, before)


def test_a_wrong_value_is_a_finding_also_where_a_rank_dies_of_it(
    short: Profile, tmp_path: Path, plant: Callable[[str], None]
) -> None:
    wrong = Cycle(at=0.0, seconds=0.1, matmul=1, copy=1, training=1, wrong=2, product="a", weights="b", number=1)
    log.append_cycle(loop.path_of(CPUS[1], tmp_path), wrong)
    plant("dies")
    with pytest.raises(Wrong, match="rank 1: the burn-in found 2 wrong values"):
        burn(CPUS, short, tmp_path, 1.0)


def test_ctrl_c_pauses_all_devices(short: Profile, tmp_path: Path) -> None:
    def press() -> None:
        deadline = time.monotonic() + 60
        while not (cycles(tmp_path, 0) and cycles(tmp_path, 1)) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        burn(CPUS, short, tmp_path, 5.0)
    pressing.join()
    for device in CPUS:
        *_, last = log.read_log(loop.path_of(device, tmp_path))
        assert isinstance(last, Pause)
