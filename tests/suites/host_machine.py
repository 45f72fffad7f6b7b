"""A healthy DGX Spark as the host's probes read it, on which the real files of checks/host run under the plugin."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import check_file
import paths
import pytest
from suites import example
from suites.host_readings import SPARK, computed, driver, engine, log
from suites.inline import counts, ended

from dgxcert.container import engine_answer
from dgxcert.judgement.requirement import Requirement
from dgxcert.machine import memory_limits
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.plan import catalogue
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import clock, container, disk, kernel_log, kernel_module, memory
from dgxcert.probes.host.engine import cdi, gpu_access, settings
from dgxcert.probes.host.hardware import cpu_clock, firmware, known_versions, reserved_memory, sensors
from dgxcert.probes.host.log import counters, last_boot
from dgxcert.profiles import profile as profiles
from dgxcert.runner import session

CHECKS = paths.CHECKS / "host"
IMAGE = example.image_ready().image
PROFILE = profiles.load("dgx-spark")


@dataclass(frozen=True)
class Check:
    """One requirement of the host, with its file and test."""

    file: Path
    test: str
    requirement: Requirement


def declared() -> dict[str, Check]:
    """Every requirement of checks/host, by id."""
    checks = {}
    for file in sorted(CHECKS.glob("test_*.py")):
        module = check_file.load(f"host/{file.stem}")
        for name, function in vars(module).items():
            requirement = catalogue.declared(function)
            if requirement is not None:
                checks[requirement.id] = Check(file, name, requirement)
    return checks


DECLARED = declared()


def disks(**changed: disk.Disk) -> disk.Disks:
    """The disks of a machine that has one for everything, and as much as the profile wants."""
    one = disk.Disk("/var/lib/docker", 60.0, 500_000)
    return disk.Disks(**{"models": one, "data_sets": one, "images": one, "results": one, "temporary": one} | changed)


class HostMachine:
    """The probes' results on one machine: a healthy Spark, except for the changes of a test."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self.machine: Machine = SPARK
        self.image: Image | None = IMAGE
        # Each at the edge of what the profile `dgx-spark` allows.
        self.set(clock, "read", clock.Clock(synchronised=True, max_error_s=1.0))
        self.set(container, "read", computed("cuda:0 (NVIDIA GB10)"))
        self.set(disk, "read", disks())
        self.set(kernel_log, "read", log())
        self.set(counters, "read", counters.Counters(0, 12, (), "EDAC"))
        self.set(last_boot, "read", last_boot.LastBoot("the last boot ended in good order", crashed=False))
        self.set(kernel_module, "read", kernel_module.KernelModule("580.126.09", is_open=True))
        self.set(engine_answer, "ask", engine())
        self.set(settings, "read_toolkit", settings.Toolkit("1.19.0"))
        self.set(settings, "read_daemon", settings.Daemon("/etc/docker/daemon.json"))
        self.set(cdi, "read", [cdi.Specification("/var/run/cdi/nvidia.yaml", cdi.GPU, ("0", "all"), (), "580.126.09")])
        self.set(gpu_access, "refresh", "enabled, active")
        core = cpu_clock.Core(3, 2002, 1378, 4004, 3604, "schedutil", "cppc_cpufreq")
        self.set(firmware, "read", firmware.Firmware({"Embedded Controller": "0x03000508"}))
        self.set(known_versions, "read", known_versions.judged({"product": "NVIDIA GB10", "driver": "580.126.09"}))
        self.set(sensors, "settled", sensors.Sensors(limits_w={"pl1": 105.0, "syspl1": 150.0}, prochot=0))
        self.set(cpu_clock, "read", cpu_clock.CpuClocks((core,), 20, ()))
        self.set(reserved_memory, "read", reserved_memory.Reserved(121.6, 127.6, 8.0))
        self.set(memory, "read", memory.Memory(121.6, 80.0, 15.0, 2.0))
        self.set(memory_limits, "read", ())
        self.set(nvml, "read", driver("580.126.09"))
        self.set(nvml, "compute_processes", [])
        self.set(nvml, "activity", nvml.Activity(0.02, (2211,)))

    def set(self, probe: Any, name: str, result: object) -> None:
        """Let a function of a probe return this, or raise it where it is an exception."""

        def read(*_: object, **__: object) -> object:
            if isinstance(result, Exception):
                raise result.with_traceback(None)  # the traceback of a shared exception grows with every raise
            return result

        self._monkeypatch.setattr(probe, name, read)

    def run(self, *ids: str) -> pytest.RunResult:
        """Run the real checks with these ids under the plugin."""
        make = session.Direct.__init__

        def with_image(direct: session.Direct, *arguments: Any) -> None:
            make(direct, *arguments)
            direct.image = self.image

        self._monkeypatch.setattr(session.Direct, "__init__", with_image)
        self._monkeypatch.setattr(session, "read_machine", lambda: self.machine)
        self._monkeypatch.setattr(session, "choose_profile", lambda name, machine: PROFILE)
        checks = [DECLARED[name] for name in ids]
        self._pytester.makepyfile(**{check.file.stem: check.file.read_text(encoding="utf-8") for check in checks})
        tests = [f"{check.file.name}::{check.test}" for check in checks]
        # As the supervisor does: without plugins that happen to be installed.
        self._monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        options = ("-p", "no:cacheprovider", "-p", "dgxcert.runner.plugin")
        return self._pytester.runpytest_inprocess(*options, *tests)

    def require_passed(self, *ids: str) -> None:
        """Run checks, all of which must pass."""
        result = self.run(*ids)
        assert counts(result) == {"passed": len(ids)}
        assert result.ret == pytest.ExitCode.OK

    def require_failed(self, id: str, reason: str, step: str) -> None:
        """Run a check that must fail with this reason, and with this step in its remedy."""
        result = self.run(id)
        assert ended(result, "failed")
        printed = result.stdout.str()
        assert reason in printed
        assert step in printed[printed.index(f"--- {id}: what to do ---") :]

    def require_inconclusive(self, id: str, reason: str) -> None:
        """Run a check that must be inconclusive with this reason, and with a remedy."""
        result = self.run(id)
        assert ended(result, "inconclusive")
        printed = result.stdout.str()
        assert reason in printed
        assert f"--- {id}: what to do ---" in printed, "there is always a way to measure again"


Change = Callable[[HostMachine], None]
"""A difference from the healthy Spark."""
Failure = tuple[str, Change, str, str]
"""A requirement that fails: its id, the change, the reason, and a step of the remedy."""
Inconclusiveness = tuple[str, Change, str]
"""A requirement that is inconclusive: its id, the change, and the reason."""


def reads(probe: Any, name: str, result: object) -> Change:
    """A machine on which this function of a probe returns `result`."""
    return lambda host: host.set(probe, name, result)


def machine(**changed: object) -> Change:
    """A machine with another identity."""
    return lambda host: setattr(host, "machine", SPARK.model_copy(update=changed))


def image(image: Image | None) -> Change:
    """A run in another image, or in none."""
    return lambda host: setattr(host, "image", image)


def failures(*rows: Failure) -> pytest.MarkDecorator:
    """Parametrise a test over failures."""
    return pytest.mark.parametrize(
        ("id", "change", "reason", "step"), rows, ids=[f"{row[0]}-{row[2][:30]}" for row in rows]
    )


def inconclusive(*rows: Inconclusiveness) -> pytest.MarkDecorator:
    """Parametrise a test over inconclusive requirements."""
    return pytest.mark.parametrize(("id", "change", "reason"), rows, ids=[f"{row[0]}-{row[2][:30]}" for row in rows])
