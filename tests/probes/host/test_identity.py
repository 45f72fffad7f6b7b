"""The machine is read as its kernel and firmware write it; a figure that is not there is never made up."""

from collections.abc import Callable
from pathlib import Path

import paths
import pytest

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import identity, memory


def recorded(name: str) -> str:
    return (paths.RECORDED / f"{name}.txt").read_text(encoding="utf-8")


def test_memory_is_read_in_gib() -> None:
    spark = recorded("meminfo-x86").replace("24684084", "127535084")
    assert memory.parse(spark).total_gib == pytest.approx(121.63, abs=0.005)
    available = memory.parse(
        "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nMemFree: 1 kB\nSwapTotal: 1048576 kB\nSwapFree: 524288 kB\n"
    )
    assert available == memory.Memory(total_gib=4.0, available_gib=2.0, swap_gib=1.0, swap_used_gib=0.5)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda text: "", "MemAvailable, MemTotal, SwapFree, SwapTotal"),
        (lambda text: "<html>", "MemAvailable, MemTotal, SwapFree, SwapTotal"),
        (lambda text: text.replace("MemAvailable", "MemAvail"), "MemAvailable"),
        (lambda text: text.replace("24684084 kB", "24684084 MB"), "MemTotal"),
        (lambda text: text.replace("24684084 kB", "24684084"), "MemTotal"),
        (lambda text: text.replace("24684084", "-24684084"), "MemTotal"),
        (lambda text: text[: text.index("SwapTotal") + 12], "SwapFree, SwapTotal"),
    ],
    ids=["empty", "another file", "old kernel", "another unit", "no unit", "negative", "cut off"],
)
def test_memory_that_is_not_told_in_kib_is_inconclusive(change: Callable[[str], str], missing: str) -> None:
    with pytest.raises(Inconclusive, match=f"has no {missing} in kB"):
        memory.parse(change(recorded("meminfo-x86")))


def test_memory_without_proc_is_inconclusive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    with pytest.raises(Inconclusive, match="cannot be read: No such file"):
        memory.read()


def test_the_cpu_is_named_by_the_kernel_or_by_lscpu() -> None:
    assert identity.cpu_model(recorded("cpuinfo-x86")) == "Intel(R) Xeon(R) Processor"
    assert identity.cpu_model(recorded("cpuinfo-spark")) is None
    assert identity.cpu_model("") is None
    assert identity.lscpu_models(recorded("lscpu-spark")) == "Cortex-X925, Cortex-A725"
    assert identity.lscpu_models("BIOS Model name: x\nModel name:   \n") == ""


@pytest.mark.parametrize("answer", [None, ""])
def test_a_cpu_that_nobody_names_is_inconclusive(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    def run(args: list[str], **_: object) -> command.Completed:
        if answer is None:
            raise FileNotFoundError(2, "No such file or directory")
        return command.Completed(tuple(args), 0, answer, "")

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


def confused_driver() -> nvml.Driver:
    raise Inconclusive("the NVIDIA driver does not answer: Driver/library version mismatch")


def test_a_machine_says_why_a_field_could_not_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(identity, "DMI", tmp_path)
    (tmp_path / "product_name").write_text("NVIDIA_DGX_Spark\n")
    monkeypatch.setattr(nvml, "read", confused_driver)
    found = identity.read()
    assert found.product == "NVIDIA_DGX_Spark"
    assert found.serial is None
    assert "No such file" in found.unreadable["serial"]
    assert "does not answer" in found.unreadable["driver"]


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        (nvml.Driver(None, None, (), absence="NVML Shared Library Not Found"), "NVML Shared Library Not Found"),
        (nvml.Driver(None, None, (), mismatch="Driver/library version mismatch"), "Driver/library version mismatch"),
    ],
    ids=["absent", "half updated"],
)
def test_a_machine_without_gpus_says_why_there_are_none(
    monkeypatch: pytest.MonkeyPatch, driver: nvml.Driver, says: str
) -> None:
    monkeypatch.setattr(nvml, "read", lambda: driver)
    found = identity.read()
    assert (found.gpus, found.driver, found.cuda_driver) == ((), None, None)
    assert says in found.unreadable["driver"]
