"""Limits of control groups, resources and commitments are found in every hierarchy, and their owners are named."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dgxcert.machine import memory_guard, memory_limit_owners, memory_limits
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory

GIB = 2**30
NONE = str(2**63 - 4096)
"""No limit, as cgroup v1 writes it with pages of 4 KiB."""

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """A /proc and one hierarchy below tmp_path/cgroup, with `files` of groups; returns where it is mounted."""
    proc, top = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "sys/vm").mkdir(parents=True)

    def make(version: int, group: str, files: dict[str, str], *, root: str = "/", **others: str) -> Path:
        kind = "cgroup2 cgroup2 rw" if version == 2 else "cgroup cgroup rw,cpu,memory"
        (proc / "self/mountinfo").write_text(f"35 31 0:32 {root} {top} rw,relatime shared:9 - {kind}\n")
        (proc / "self/cgroup").write_text(f"0::{group}\n" if version == 2 else f"4:cpu,memory:{group}\n0::/other\n")
        for name, text in files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        for name, text in others.items():
            (proc / name.replace("__", "/")).write_text(text)
        return top

    monkeypatch.setattr(memory_limits, "PROC", proc)
    memory_guard.limits_of_groups.cache_clear()
    yield make
    memory_guard.limits_of_groups.cache_clear()


def tightest() -> memory_limits.MemoryLimit:
    return memory_limits.read()[0]


STAT_2 = f"anon 1\ninactive_file {GIB}\nactive_file {GIB}"
STAT_1 = f"inactive_file 7\nhierarchical_memory_limit {4 * GIB}\ntotal_inactive_file {GIB}\ntotal_active_file {GIB}"
FOUND = {
    "max of its own group": (
        2,
        "/a/b",
        {"a/b/memory.max": 8 * GIB, "a/b/memory.current": 3 * GIB},
        5,
        "memory.max of /a/b",
    ),
    "max of a parent": (
        2,
        "/a/b",
        {"a/memory.max": 8 * GIB, "a/memory.current": GIB, "a/b/memory.max": "max", "a/b/memory.current": 5},
        7,
        "memory.max of /a",
    ),
    "high": (
        2,
        "/a",
        {"a/memory.max": 8 * GIB, "a/memory.high": 2 * GIB, "a/memory.current": GIB},
        1,
        "memory.high of /a",
    ),
    "page cache is available": (
        2,
        "/a",
        {"a/memory.max": 8 * GIB, "a/memory.current": 7 * GIB, "a/memory.stat": STAT_2},
        3,
        "memory.max of /a",
    ),
    "the root of a namespace": (2, "/", {"memory.max": 2 * GIB, "memory.current": GIB}, 1, "memory.max of /"),
    "a group that is not visible here": (2, "/x/y", {"memory.max": 2 * GIB, "memory.current": 0}, 2, "memory.max of /"),
    "version 1": (
        1,
        "/a",
        {"a/memory.limit_in_bytes": 4 * GIB, "a/memory.usage_in_bytes": 3 * GIB, "a/memory.stat": STAT_1},
        3,
        "memory.limit_in_bytes of /a",
    ),
    "memory and swap": (
        1,
        "/a",
        {
            "a/memory.limit_in_bytes": NONE,
            "a/memory.memsw.limit_in_bytes": 4 * GIB,
            "a/memory.memsw.usage_in_bytes": GIB,
        },
        3,
        "memory.memsw.limit_in_bytes of /a",
    ),
    "a parent that is hidden": (
        1,
        "/",
        {"memory.limit_in_bytes": NONE, "memory.usage_in_bytes": 3 * GIB, "memory.stat": STAT_1},
        3,
        "hierarchical_memory_limit of /",
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_a_limit_is_found_with_what_is_left(plant: Plant, case: str) -> None:
    version, group, files, left, name = FOUND[case]
    plant(version, group, {path: str(text) for path, text in files.items()})
    assert tightest().available == left * GIB
    assert tightest().name == name


def test_a_container_sees_its_group_by_the_root_of_the_mount(plant: Plant) -> None:
    files = {"memory.limit_in_bytes": str(GIB), "memory.usage_in_bytes": "0"}
    plant(1, "/docker/4f1c", files, root="/docker/4f1c")
    assert (tightest().name, tightest().set_by) == ("memory.limit_in_bytes of /docker/4f1c", "Docker")


def test_a_parent_without_hierarchy_does_not_count(plant: Plant) -> None:
    files = {"a/memory.limit_in_bytes": str(GIB), "a/memory.use_hierarchy": "0", "a/b/memory.limit_in_bytes": NONE}
    plant(1, "/a/b", files)
    assert memory_limits.read() == ()


def test_a_namespace_that_begins_below_the_mount_is_found_by_its_processes(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limits.os, "getpid", lambda: 4711)
    files = {"a/b/memory.limit_in_bytes": str(GIB), "a/b/cgroup.procs": "12\n4711", "cgroup.procs": "1"}
    plant(1, "/", files, root="/../..")
    assert tightest().name == "memory.limit_in_bytes of /a/b"


@pytest.mark.parametrize("files", [{}, {"a/memory.limit_in_bytes": NONE}, {"a/memory.max": "max"}])
def test_without_a_limit_only_the_machine_limits(plant: Plant, files: dict[str, str]) -> None:
    plant(1 if "a/memory.max" not in files else 2, "/a", files)
    assert memory_limits.read() == ()


def test_a_process_without_control_groups_has_no_limit_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limits, "PROC", tmp_path)
    assert memory_limits.read() == ()


@pytest.mark.parametrize(
    ("line", "command"), [("Max address space  ", "ulimit -v"), ("Max data size      ", "ulimit -d")]
)
def test_a_resource_limit_counts(plant: Plant, line: str, command: str) -> None:
    limits = f"Limit                     Soft Limit\n{line}        {4 * GIB}           unlimited            bytes\n"
    status = f"Name:\tpython\nVmSize:\t {GIB // 1024} kB\nVmData:\t {GIB // 1024} kB\n"
    plant(2, "/", {}, self__limits=limits, self__status=status)
    assert tightest().available == 3 * GIB
    assert f"{command} unlimited" in tightest().remedy[1]


def test_resources_without_a_limit_do_not_count(plant: Plant) -> None:
    plant(2, "/", {}, self__limits="Max address space         unlimited            unlimited            bytes\n")
    assert memory_limits.read() == ()


@pytest.mark.parametrize(("mode", "found"), [("0", 0), ("1", 0), ("2", 1)])
def test_strict_accounting_limits_what_can_be_committed(plant: Plant, mode: str, found: int) -> None:
    meminfo = f"CommitLimit: {4 * GIB // 1024} kB\nCommitted_AS: {GIB // 1024} kB\n"
    plant(2, "/", {}, sys__vm__overcommit_memory=f"{mode}\n", meminfo=meminfo)
    assert [limit.available for limit in memory_limits.read()] == [3 * GIB] * found


OWNERS = {
    "/kubepods.slice/kubepods-burstable.slice/cri-containerd-4f1c.scope": "Kubernetes",
    "/kubepods/burstable/pod1/4f1c": "Kubernetes",
    "/system.slice/slurmstepd.scope/job_7/step_0": "Slurm",
    "/slurm/uid_1000/job_7": "Slurm",
    "/lxc.payload.course": "LXC or Incus",
    "/lxc/course": "LXC or Incus",
    "/docker/4f1c0b6ad0e2": "Docker",
    "/system.slice/docker-4f1c0b6ad0e2aa.scope": "Docker",
    "/machine.slice/libpod-4f1c.scope": "Podman",
    "/system.slice/docker.service": "systemd (docker.service)",
    "/user.slice/user-1000.slice": "systemd (user-1000.slice)",
    "/user.slice/user-1000.slice/user@1000.service/app.slice": "systemd (app.slice)",
    "/": "whatever started this container",
    "/mine": "somebody by hand",
}


@pytest.mark.parametrize("group", OWNERS)
def test_the_owner_of_a_limit_is_named_by_its_group(group: str) -> None:
    assert memory_limit_owners.find(group, Path("memory.max")).name == OWNERS[group]


@pytest.mark.parametrize(
    ("group", "command"),
    [
        ("/user.slice/user-1000.slice", "sudo systemctl set-property --runtime user-1000.slice"),
        ("/user.slice/user-1000.slice/user@1000.service", "sudo systemctl set-property --runtime user@1000.service"),
        ("/user.slice/user-1000.slice/user@1000.service/a.scope", ": systemctl --user set-property --runtime a.scope"),
    ],
)
def test_a_unit_is_changed_by_the_manager_that_it_belongs_to(group: str, command: str) -> None:
    assert command in memory_limit_owners.find(group, Path("memory.max")).remedy[1]


def test_the_smaller_of_machine_and_limit_is_usable(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "read", lambda: memory.Memory(120.0, 100.0, 0.0, 0.0))
    plant(2, "/a", {"a/memory.max": str(8 * GIB), "a/memory.current": str(GIB)})
    assert (memory.usable().gib, memory.usable_at_most().gib) == (7.0, 8.0)
    assert memory.usable().limited
    assert memory.usable().remedy
    monkeypatch.setattr(memory, "read", lambda: memory.Memory(8.0, 6.0, 0.0, 0.0))
    assert memory.usable() == memory.Usable(6.0, "MemAvailable of /proc/meminfo; no limit of this process is below it")
    assert memory.usable_at_most().gib == 8.0
    assert not memory.usable_at_most().remedy


def test_memory_that_cannot_be_read_is_inconclusive(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(2, "/a", {"a/memory.max": str(8 * GIB)})
    monkeypatch.setattr(memory, "MEMINFO", Path("/nowhere/meminfo"))
    with pytest.raises(Inconclusive):
        memory.usable()


@pytest.mark.parametrize(
    ("used", "stopped"), [(GIB, False), (5 * GIB, True), (6 * GIB, True)], ids=["calm", "cache is no room", "full"]
)
def test_work_is_stopped_before_its_group_is_full(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, used: int, stopped: bool
) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable: 99999999 kB\n")
    monkeypatch.setattr(memory_guard, "MEMINFO", tmp_path / "meminfo")
    plant(2, "/a", {"a/memory.max": str(8 * GIB), "a/memory.current": str(used)})
    said = memory_guard.shortage(4.0, "swapping begins")
    assert bool(said) == stopped
    assert not stopped or "below memory.max of /a" in said


def test_cache_that_can_be_reclaimed_is_no_shortage(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable: 99999999 kB\n")
    monkeypatch.setattr(memory_guard, "MEMINFO", tmp_path / "meminfo")
    plant(2, "/a", {"a/memory.max": str(8 * GIB), "a/memory.current": str(6 * GIB), "a/memory.stat": STAT_2})
    assert memory_guard.shortage(4.0, "swapping begins") == ""
