"""The real nvidia-ml-py with a simulated driver: what the probes read, and how a machine is described."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simulated import machine
from suites import driver

from dgxcert.record import run as runs

READ = (
    "import dataclasses, json; from dgxcert.probes.gpu import nvml; found = nvml.read();"
    "print(json.dumps({**dataclasses.asdict(found), 'gpus': [gpu.model_dump() for gpu in found.gpus]}))"
)
SAMPLE = (
    "import dataclasses, json, time; from dgxcert.probes.gpu.sampler import sampling\n"
    "with sampling(0) as samples: time.sleep({seconds})\n"
    "print(json.dumps(dataclasses.asdict(samples())))"
)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return machine.build(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def mine(library: Path, tmp_path: Path) -> Callable[[str, str], Any]:
    """The JSON that a program prints on a healthy H100 that differs in what is said."""

    def run(said: str, program: str) -> Any:
        text = f"summary: mine\nlike: h100-idle\ndevice_count: 1\n{said}\n"
        (tmp_path / "h100-mine.yaml").write_text(text, encoding="utf-8")
        env = machine.load("h100-mine", tmp_path).played(tmp_path, library)
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def ask(library: Path, tmp_path: Path) -> Callable[[str, str], Any]:
    """The JSON that a program prints on a machine."""

    def run(name: str, program: str) -> Any:
        env = machine.load(name).played(tmp_path, library)
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_healthy_sparks_driver_has_no_figure_for_memory(ask: Callable[[str, str], Any]) -> None:
    found = ask("spark-idle", READ)
    assert (found["version"], found["cuda"], found["lost"]) == ("580.142", "13.0", [])
    (gpu,) = found["gpus"]
    assert (gpu["product"], gpu["compute_capability"], gpu["memory_gib"]) == ("NVIDIA GB10", "12.1", None)
    assert ask("spark-memory-zero", READ)["gpus"][0]["memory_gib"] is None


def test_one_lost_gpu_hides_no_other(ask: Callable[[str, str], Any]) -> None:
    found = ask("h100-one-lost", READ)
    assert found["lost"] == [3]
    assert [gpu["index"] for gpu in found["gpus"]] == [0, 1, 2, 4, 5, 6, 7]


def test_the_sampler_reads_ten_times_a_second_and_more(ask: Callable[[str, str], Any]) -> None:
    """Its cost is measured by `make bench-harness`; this only tests that the samples are complete."""
    found = ask("h100-idle", SAMPLE.format(seconds=1.0))
    assert len(found["readings"]) >= 10
    assert {"clock", "power_w", "temperature", "utilization", "event_reasons"} <= set(found["readings"][0])
    assert set(found["before"]) == {"power_cap", "thermal_software", "thermal_hardware", "power_brake"}


def test_a_field_that_a_gb10_does_not_have_is_missing_from_the_samples(ask: Callable[[str, str], Any]) -> None:
    found = ask("spark-idle", SAMPLE.format(seconds=0.5))
    assert found["readings"][0]["power_w"] == 4.5


def test_a_driver_that_crashes_the_caller_still_gives_a_run_and_a_verdict(library: Path, tmp_path: Path) -> None:
    """The whole command, without forks and without a shortened load."""
    env = machine.load("spark-driver-crashes").played(tmp_path, library)
    command = [sys.executable, "-m", "dgxcert", "validate", "--profile", "dgx-spark", "--runtime", "native"]
    command += ["--results", str(tmp_path / "results"), "--only", "GPU-PRESENT,DRIVER-BRANCH"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    results = {result.key: result for result in runs.load(driver.only_run(tmp_path / "results")).results}
    assert results["GPU-PRESENT"].outcome.value == "inconclusive"
    assert "by signal 11 (nvmlDeviceGetName)" in results["GPU-PRESENT"].reason


@pytest.mark.parametrize("path", sorted(machine.MACHINES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_machine_can_be_played_and_names_its_sources(path: Path) -> None:
    found = machine.load(path.stem)
    assert found.table()
    assert found.fields["summary"]
    assert found.fields["sources"]


@pytest.fixture
def describe(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The fields of a machine that a user describes in a folder of their own."""

    def load(text: str, name: str = "spark-mine") -> dict[str, Any]:
        (tmp_path / f"{name}.yaml").write_text(f"summary: mine\n{text}\n", encoding="utf-8")
        return machine.load(name, tmp_path).fields

    return load


ASK = "import json; from dgxcert.probes.gpu import nvml; print(json.dumps(nvml.ask(0, {!r}).{}))"


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ("gpu_recovery_action: None", "NONE"),
        ("gpu_recovery_action: Drain P2P", "DRAIN_P2P"),
        ("gpu_recovery_action: 7", "SYSTEM_REBOOT"),
        ("gpu_recovery_action: 9", "9"),
        ("gpu_recovery_action: error 2\nreset_required: true", "GPU_RESET"),
        ("gpu_recovery_action: error 2\ndrain_and_reset_recommended: true", "DRAIN_AND_RESET"),
        ("gpu_recovery_action: error 2\nreset_required: false", "NONE"),
    ],
)
def test_recovery_actions_are_read_by_name(mine: Callable[[str, str], Any], said: str, action: str) -> None:
    assert mine(said, ASK.format("recovery_action", "answered"))["recovery_action"] == action


def test_a_driver_without_recovery_actions_says_so(mine: Callable[[str, str], Any]) -> None:
    assert mine("gpu_recovery_action: absent", ASK.format("recovery_action", "refused"))["recovery_action"]["code"] == 3


@pytest.mark.parametrize("interface", [1, 2, 3])
def test_the_fabric_is_read_in_the_version_that_the_driver_knows(
    mine: Callable[[str, str], Any], interface: int
) -> None:
    said = "fabric_state: Completed\nfabric_health: {degraded_bw: 'true'}\nfabric_health_summary: Unhealthy\n"
    said += f"fabric_status: 3\nfabric_interface: {interface}"
    found = mine(said, ASK.format("fabric", "answered"))["fabric"]
    assert (found["state"], found["status"]) == ("COMPLETED", 3)
    assert found["health"].get("DEGRADED_BW") == ("TRUE" if interface > 1 else None)
    assert found["health"].get("SUMMARY") == ("UNHEALTHY" if interface > 2 else None)


def test_a_gpu_without_a_fabric_says_so(mine: Callable[[str, str], Any]) -> None:
    assert mine("fabric_state: absent", ASK.format("fabric", "refused"))["fabric"]["code"] == 3


PLAYED = (*machine.OF_THE_SYSTEM, *machine.OF_A_GPU)
REFUSED = ("error 16", "'[GPU requires reset]'", "NVML_ERROR_RESET_REQUIRED", "[error 16]")


@pytest.mark.parametrize("refused", REFUSED)
def test_the_driver_may_refuse_any_field(describe: Callable[..., dict[str, Any]], tmp_path: Path, refused: str) -> None:
    """At rest, under load and on a single GPU: the description of a sick driver must not end the whole matrix."""
    for field in PLAYED:
        if refused.startswith("[") and field in ("device_count", "name"):
            continue
        said = f"{field}: {refused}"
        describe(f"like: spark-idle\n{said}\nunder_load: {{{said}}}\neach: {{0: {{{said}}}}}")
        lines = machine.load("spark-mine", tmp_path).table().splitlines()
        name = {**machine.OF_THE_SYSTEM, **machine.OF_A_GPU}[field][0]
        assert {line.split()[2] for line in lines if line.split()[1] == name} <= {"!16"}, field


def test_a_list_may_hold_what_the_driver_refuses_meanwhile(
    describe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    describe("under_load: {clock_sm_mhz: [2400, error 16], power_draw_w: [Unknown Error, 80]}")
    lines = machine.load("spark-mine", tmp_path).table().splitlines()
    assert "0* clock.sm 2400,!16" in lines
    assert "0* power.draw !999,80000" in lines


def test_a_value_that_cannot_be_played_names_its_field(describe: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    describe("compute_mode: Shared")
    with pytest.raises(ValueError, match="compute_mode: 'Shared' cannot be played"):
        machine.load("spark-mine", tmp_path).table()


def test_an_unknown_field_is_refused(describe: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="no such field: temperature_of_the_room"):
        describe("temperature_of_the_room: 21")


def test_a_missing_field_is_that_of_the_healthy_machine(describe: Callable[..., dict[str, Any]]) -> None:
    assert describe("clock_sm_mhz: unknown")["clock_sm_mhz"] == 208
    assert describe("name: unknown", "h200-mine")["name"] == "NVIDIA H200"
    assert describe("performance_state: P0\nutilization_gpu_percent: 0")["under_load"]["power_draw_w"] == 92.5


def test_a_machine_described_under_load_shows_the_same_under_load(describe: Callable[..., dict[str, Any]]) -> None:
    found = describe("performance_state: P0\nutilization_gpu_percent: unknown\nclock_sm_mhz: 507\npower_draw_w: 11.1")
    assert found["under_load"]["clock_sm_mhz"] == 507
    assert found["under_load"]["utilization_gpu_percent"] == 96


def test_a_counter_grows_on_a_machine_under_load_and_is_constant_at_rest(
    describe: Callable[..., dict[str, Any]],
) -> None:
    counter = "event_counter_sw_thermal_slowdown_us"
    at_work = describe(f"performance_state: P0\n{counter}: 903158")
    assert at_work["under_load"][f"{counter}_per_s"] == 90316
    assert f"{counter}_per_s" not in describe(f"performance_state: P8\n{counter}: 903158")["under_load"]


def test_synonyms_are_normalised(describe: Callable[..., dict[str, Any]]) -> None:
    text = "clocks_event_reasons_active: [hw_slowdown, hw_thermal_slowdown]\nperformance_state: P0"
    assert describe(text)["under_load"]["clocks_event_reasons_hex"] == "0x48"
    assert describe("power_draw_average_w: 629.45\npower_draw_w: absent")["power_draw_w"] == 629.45
    assert describe("nvml_return: NVML_ERROR_GPU_IS_LOST (15)")["device_handle"] == "error 15"
    counts = "ecc_errors_dram_uncorrectable_volatile: 1\necc_errors_sram_uncorrectable_parity_volatile: 2"
    assert describe(counts)["ecc_errors_uncorrectable_volatile"] == 3


ASK_LINKS = """
import json, pynvml
pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex({gpu})
def told(read, *given):
    try:
        return read(*given)
    except pynvml.NVMLError as error:
        return f"!{{error.value}}"
def field(name, link=0):
    (value,) = pynvml.nvmlDeviceGetFieldValues(gpu, [(getattr(pynvml, f"NVML_FI_DEV_NVLINK_{{name}}"), link)])
    return f"!{{value.nvmlReturn}}" if value.nvmlReturn else value.value.ullVal
def state(link): return told(pynvml.nvmlDeviceGetNvLinkState, gpu, link)
def errors(link, counter): return told(pynvml.nvmlDeviceGetNvLinkErrorCounter, gpu, link, counter)
def peer(other, capability):
    return told(pynvml.nvmlDeviceGetP2PStatus, gpu, pynvml.nvmlDeviceGetHandleByIndex(other), capability)
def remote(link): return told(lambda: pynvml.nvmlDeviceGetNvLinkRemotePciInfo(gpu, link).busId)
print(json.dumps([{asked}]))
"""
"""What nvidia-ml-py answers about links."""
TWO = "device_count: 2\n"


def links(asked: str, gpu: int = 0) -> str:
    return ASK_LINKS.format(asked=asked, gpu=gpu)


def test_a_link_is_read_by_function_and_by_field(mine: Callable[[str, str], Any]) -> None:
    asked = 'state(0), state(17), state(18), field("LINK_COUNT"), field("GET_STATE", 3), field("GET_SPEED", 3)'
    asked += ', field("GET_VERSION", 3), field("SPEED_MBPS_COMMON"), field("SPEED_MBPS_L7"), remote(3)'
    told = [1, 1, "!2", 18, 1, 26562, 6, 26562, 26562, "00000000:C0:00.0"]
    assert mine("", links(asked)) == told


def test_a_link_that_is_down_has_neither_speed_nor_far_end(mine: Callable[[str, str], Any]) -> None:
    said = "nvlinks: {3: {state: down}, 4: {speed_gbs: 12.5}, 5: {state: sleeps}, 6: {state: error 999}}"
    asked = 'state(3), field("GET_STATE", 3), field("GET_SPEED", 3), remote(3), field("GET_SPEED", 4), state(5)'
    asked += ', field("GET_STATE", 5), state(6), field("GET_STATE", 6)'
    assert mine(said, links(asked)) == [0, 0, 0, "!3", 12500, 1, 2, "!999", "!999"]


@pytest.mark.parametrize("count", ["not_supported", "0"])
def test_a_gpu_without_nvlink_says_so(mine: Callable[[str, str], Any], count: str) -> None:
    told = mine(
        f"{TWO}nvlink_count: {count}", links('state(0), field("LINK_COUNT"), errors(0, 0), peer(1, 2), peer(1, 0)')
    )
    assert told == ["!3", 0 if count == "0" else "!3", "!3", 5, 0]


def test_counters_are_those_of_the_version_of_nvlink(mine: Callable[[str, str], Any]) -> None:
    said = "nvlink_errors: {replay: 2, symbol: 7, recovery: 1}\nnvlinks: {4: {errors: {replay: 5, crc_data: 3}}}"
    asked = 'errors(0, 0), errors(4, 0), errors(4, 3), field("ERROR_DL_REPLAY", 4), field("COUNT_SYMBOL_ERRORS", 4)'
    asked += ', field("REPLAY_ERROR_COUNT_TOTAL"), field("COUNT_LINK_RECOVERY_EVENTS"), field("ERROR_DL_RECOVERY")'
    assert mine(said, links(asked)) == [2, 5, 3, 5, "!3", 2 * 17 + 5, "!3", 1]
    five = f"{said}\nnvlink_version: '5.0'"
    assert mine(five, links(asked)) == ["!3", "!3", "!3", "!3", 7, "!3", 1, "!3"]


def test_a_gpu_before_hopper_knows_the_functions_alone(mine: Callable[[str, str], Any]) -> None:
    asked = 'state(0), errors(0, 0), field("GET_STATE"), field("ERROR_DL_REPLAY"), field("LINK_COUNT")'
    assert mine("nvlink_fields: Disabled", links(asked)) == [1, 0, "!3", "!3", 18]


def test_pairs_may_lack_access_in_one_direction_or_both(mine: Callable[[str, str], Any]) -> None:
    said = "device_count: 3\npeers: {0-1: CNS, 2>0: {read: NS, nvlink: error 13}}"
    asked = "peer(1, 0), peer(1, 4), peer(2, 0), peer(2, 2)"
    assert mine(said, links(asked)) == [1, 0, 0, 0]
    assert mine(said, links("peer(0, 0), peer(0, 1), peer(0, 2), peer(2, 0)", gpu=1)) == [1, 1, 1, 0]
    assert mine(said, links("peer(0, 0), peer(0, 1), peer(0, 2), peer(1, 0)", gpu=2)) == [5, 0, "!13", 0]
    assert mine(f"{TWO}peer_access: GNS", links("peer(1, 0), peer(1, 2)")) == [2, 2]


WORKS = """
import os, pathlib, time
def work(gpu, seconds):
    path = pathlib.Path(os.environ["SIMULATED_WORK"] + f".{gpu}")
    path.write_text(f"{os.getpid()} 0 {seconds} {seconds}")
    pathlib.Path(f"{path}.together").touch()
def rest(gpu):
    path = pathlib.Path(os.environ["SIMULATED_WORK"] + f".{gpu}")
    os.utime(path, (0, 0))
    pathlib.Path(f"{path}.together").unlink(missing_ok=True)
"""


def test_errors_grow_with_the_work_of_their_gpu_and_stay(mine: Callable[[str, str], Any]) -> None:
    said = f"{TWO}nvlinks: {{3: {{errors: {{replay: 5, replay_per_s: 4}}}}}}"
    asked = "errors(3, 0), work(1, 9), errors(3, 0), work(0, 2), errors(3, 0), errors(2, 0), rest(0), errors(3, 0)"
    assert mine(said, WORKS + links(asked)) == [5, None, 5, None, 13, 0, None, 13]


def test_a_machine_may_differ_only_while_all_of_its_gpus_work(mine: Callable[[str, str], Any]) -> None:
    said = f"{TWO}under_load: {{power_draw_w: 600}}\nunder_common_load: {{power_draw_w: 400}}"
    power = "pynvml.nvmlDeviceGetPowerUsage(gpu)"
    asked = f"{power}, work(0, 1), {power}, work(1, 1), {power}, rest(1), {power}, rest(0), {power}"
    assert mine(said, WORKS + links(asked)) == [70000, None, 600000, None, 400000, None, 600000, None, 70000]


def test_where_a_gpu_is_told_by_the_bus_and_by_its_processors(mine: Callable[[str, str], Any]) -> None:
    asked = "pynvml.nvmlDeviceGetPciInfo(gpu).busId, list(pynvml.nvmlDeviceGetCpuAffinity(gpu, 1))"
    asked += ", list(pynvml.nvmlDeviceGetMemoryAffinity(gpu, 1, 0)), pynvml.nvmlDeviceGetIndex(gpu)"
    assert mine("device_count: 4", links(asked)) == ["00000000:01:00.0", [0xFFFF], [1], 0]
    assert mine("device_count: 4", links(asked, gpu=3)) == ["00000003:01:00.0", [0xFFFF0000], [2], 3]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("nvlinks: {3: {colour: red}}", "no such field of a link: colour"),
        ("nvlink_errors: {colour: 3}", "no such counter: colour"),
        ("nvlink_state: purple", "nvlink_state: 'purple' cannot be played"),
    ],
)
def test_a_link_that_cannot_be_played_is_refused(
    describe: Callable[..., dict[str, Any]], tmp_path: Path, said: str, named: str
) -> None:
    describe(f"name: NVIDIA H100 80GB HBM3\n{said}", "h100-mine")
    with pytest.raises(ValueError, match=named):
        machine.load("h100-mine", tmp_path).table()
