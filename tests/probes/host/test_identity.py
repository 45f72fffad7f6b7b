"""The machine's identity is read from its kernel, firmware and driver; a field that cannot be read has a reason."""

from pathlib import Path

import paths
import pytest

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import identity


def recorded(name: str) -> str:
    return (paths.RECORDED / f"{name}.txt").read_text(encoding="utf-8")


def test_the_cpu_is_named_by_the_kernel_or_by_lscpu() -> None:
    assert identity.cpu_model(recorded("cpuinfo-x86")) == "Intel(R) Xeon(R) Processor"
    assert identity.cpu_model(recorded("cpuinfo-spark")) is None
    assert identity.cpu_model("") is None
    assert identity.lscpu_models(recorded("lscpu-spark")) == "Cortex-X925, Cortex-A725"
    assert identity.lscpu_models("BIOS Model name: x\nModel name:   \n") == ""


@pytest.mark.parametrize("output", [None, ""])
def test_a_cpu_without_a_name_is_inconclusive(monkeypatch: pytest.MonkeyPatch, output: str | None) -> None:
    def run(args: list[str], **_: object) -> command.Completed:
        if output is None:
            raise FileNotFoundError(2, "No such file or directory")
        return command.Completed(tuple(args), 0, output, "")

    monkeypatch.setattr(command, "run", run)
    with pytest.raises(Inconclusive, match="lscpu"):
        identity.cores_by_lscpu()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("350735.47 234388.90\n", 350735.47),
        ("350735.47", 350735.47),
        ("12 3", 12.0),
        ("", None),
        (None, None),
        ("up", None),
    ],
)
def test_uptime_is_the_first_number_or_nothing(text: str | None, seconds: float | None) -> None:
    assert identity.uptime(text) == seconds


@pytest.mark.parametrize(("name", "version"), [("dgx-release-founders", "7.4.0"), ("dgx-release-hp", "7.5.0")])
def test_the_last_update_is_the_version_of_dgx_os(name: str, version: str) -> None:
    assert identity._dgx(recorded(name)) == version


def test_without_an_update_dgx_os_is_what_was_installed() -> None:
    assert identity._dgx(recorded("dgx-release-founders").partition("\n\n")[0]) == "7.2.3"
    assert identity._dgx("") is None
    assert identity._dgx(None) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (recorded("os-release-debian"), "Debian GNU/Linux 12 (bookworm)"),
        ("PRETTY_NAME='Ubuntu 24.04.3 LTS'\n", "Ubuntu 24.04.3 LTS"),
        ("PRETTY_NAME=Ubuntu\nPRETTY_NAME=Later", "Later"),
        ("NOT_PRETTY_NAME=x\n#PRETTY_NAME=y\n", None),
        ("", None),
    ],
    ids=["double", "single", "twice", "other names", "empty"],
)
def test_a_value_is_read_with_and_without_its_quotes(text: str, value: str | None) -> None:
    assert identity.quoted(text, "PRETTY_NAME") == value


def mismatched_driver() -> nvml.Driver:
    raise Inconclusive("the NVIDIA driver does not answer: Driver/library version mismatch")


def test_a_field_that_cannot_be_read_has_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(identity, "DMI", tmp_path)
    (tmp_path / "product_name").write_text("NVIDIA_DGX_Spark\n")
    monkeypatch.setattr(nvml, "read", mismatched_driver)
    machine = identity.read()
    assert machine.product == "NVIDIA_DGX_Spark"
    assert machine.serial is None
    assert "No such file" in machine.unreadable["serial"]
    assert "does not answer" in machine.unreadable["driver"]


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (nvml.Driver(None, None, (), absence="NVML Shared Library Not Found"), "NVML Shared Library Not Found"),
        (nvml.Driver(None, None, (), mismatch="Driver/library version mismatch"), "Driver/library version mismatch"),
    ],
    ids=["absent", "half updated"],
)
def test_a_machine_without_gpus_has_a_reason(monkeypatch: pytest.MonkeyPatch, driver: nvml.Driver, reason: str) -> None:
    monkeypatch.setattr(nvml, "read", lambda: driver)
    machine = identity.read()
    assert (machine.gpus, machine.driver, machine.cuda_driver) == ((), None, None)
    assert reason in machine.unreadable["driver"]
