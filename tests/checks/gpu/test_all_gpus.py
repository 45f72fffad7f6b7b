"""The checks of all GPUs at once pass on a healthy machine, and each of their comparisons fails alone."""

from dataclasses import replace
from typing import Any

import check_file
import pytest
from suites.judged import judge

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.samples import Samples
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.hardware import transfer as transfers
from dgxcert.workloads.hardware.together import load, neighbours, transfer
from dgxcert.workloads.hardware.together.load import Sampled
from dgxcert.workloads.hardware.together.transfer import Transferred
from dgxcert.workloads.hardware.together.turns import Rounds, Stretch

CHECKS = check_file.load("gpu/test_all_gpus")
H200 = profiles.load("h200")
GPUS = tuple(Device("cuda", index, "NVIDIA H200") for index in range(8))
FOUR, TWO = GPUS[:4], GPUS[:2]
MIXED = (*TWO, *(replace(gpu, product="NVIDIA H200 NVL") for gpu in GPUS[2:4]))

WORKING = {"clock": 1740, "utilization": 100, "temperature": 62, "power_w": 695, "event_reasons": 0x4}
BEGAN, SECONDS = 100.0, 8.0
UNIX = 1.7e9
"""When sampling began, half a second before the common time."""
ROUND_S = 0.1
"""Seconds of a round alone."""

LOAD, MEMORY, TRANSFER = (
    CHECKS.test_all_gpus_at_work_hold_their_rate,
    CHECKS.test_all_gpus_at_work_keep_their_memory_bandwidth,
    CHECKS.test_all_gpus_at_once_exchange_data_with_the_host,
)


def stretch(began: float, seconds: float, round_s: float) -> Stretch:
    """Rounds of one length, one after the other."""
    return Stretch(
        began=began, ended=tuple(began + round_s * number for number in range(1, int(seconds / round_s) + 1))
    )


def sampled(gpu: int, **changed: Any) -> Samples:
    """Samples ten times a second, from before the common time until after it.

    A changed field has this value all the time; of a pair the second from four seconds on.
    """
    fields = WORKING | {"temperature": 60 + gpu} | changed

    def value(reading: Any, t: float) -> Any:
        return reading[t > BEGAN + 4] if isinstance(reading, tuple) else reading

    times = [BEGAN - 0.5 + number / 10 for number in range(95)]
    idle = {"utilization": 0, "clock": 345, "temperature": 30, "power_w": 80, "event_reasons": 0x1}
    readings = [
        {"t": t, **(idle if t < BEGAN else {name: value(each, t) for name, each in fields.items()})} for t in times
    ]
    return Samples(tuple(readings), {}, {}, elapsed_s=9.5, cpu_s=0.1, began=UNIX)


def noted(gpu: int, slower: float = 1.0, alone: float = 1.0, late_s: float = 0.0, **said: Any) -> dict[str, Any]:
    """What one rank notes: `slower` and `alone` are factors of its rounds, all at once and alone."""
    rounds = {
        "alone": stretch(10.0 + 2 * gpu, 1.5, ROUND_S * alone),
        "at_once": stretch(BEGAN + late_s, SECONDS, ROUND_S * slower * 1.02),
        "amount": 60.0,
    }
    return rounds | said


def of_load(gpu: int, samples: Samples | dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    """What a rank returns of the load; `samples` are changed fields, or None for the healthy ones."""
    own = sampled(gpu, **samples) if isinstance(samples, dict) else samples or sampled(gpu)
    return Sampled(**noted(gpu, **said), samples=own).model_dump(mode="json")


def of_memory(gpu: int, **said: Any) -> dict[str, Any]:
    return Rounds(**noted(gpu, **said)).model_dump(mode="json")


def of_transfer(gpu: int, to_host: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    """What a rank returns of its transfers; what is said is of those to the device."""
    ways = {"to_device": said, "to_host": to_host or {}}
    rounds = {way: Rounds(**noted(gpu, **each) | {"amount": 2.0}) for way, each in ways.items()}
    return Transferred(rounds=rounds, nodes=(gpu // 4,), beside=(gpu // 4,), known=2).model_dump(mode="json")


MADE = {LOAD: of_load, MEMORY: of_memory, TRANSFER: of_transfer}


def answers(test: Any, gpus: tuple[Device, ...], faults: dict[int, dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The answers of all ranks, those of some GPUs changed."""
    return tuple(MADE[test](gpu.index, **faults.get(gpu.index, {})) for gpu in gpus)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets ranks return what is given, without starting them; the settings they get are kept."""
    told: list[Any] = []

    def returning(made: tuple[dict[str, Any], ...]) -> list[Any]:
        monkeypatch.setattr(launch, "run", lambda module, gpus, settings, **_: told.append(settings) or made)
        return told

    monkeypatch.setattr(transfers, "require_host", lambda size, profile: None)
    monkeypatch.setattr(load, "AT_ONCE", SECONDS / H200.workloads.sustained.seconds)
    return returning


EVERY = dict.fromkeys(range(8))
HALVED = {"slower": 2.0}


@pytest.mark.catches("ALL-GPUS-LOAD", "the last bit of one value of one product of one GPU")
@pytest.mark.parametrize(
    ("test", "gpus", "faults", "fault"),
    [
        (LOAD, GPUS, {}, None),
        (LOAD, GPUS, {5: {"slower": 1.3}}, "slowest beside its siblings"),
        (LOAD, GPUS, {5: {"slower": 1.08}}, None),
        (LOAD, TWO, {1: {"slower": 1.15}}, "slowest beside its siblings"),
        (LOAD, FOUR, {0: {"slower": 1.2}, 2: {"slower": 1.2}}, "slowest beside its siblings"),
        (LOAD, MIXED, {2: {"slower": 2, "alone": 2}, 3: {"slower": 2, "alone": 2}}, None),
        (LOAD, MIXED, {3: {"slower": 2, "alone": 2}}, "slowest beside its siblings"),
        (LOAD, GPUS, {gpu: {"slower": 1.3} for gpu in EVERY}, "slowest beside itself alone"),
        (LOAD, GPUS, {gpu: {"slower": 1.08, "samples": {"clock": 1600}} for gpu in EVERY}, None),
        (LOAD, GPUS, {3: {"samples": {"event_reasons": 0x88}}}, "power brake with all GPUs at work"),
        (LOAD, GPUS, {3: {"samples": {"event_reasons": (0x4, 0x80)}}}, "power brake with all GPUs at work"),
        (LOAD, GPUS, {6: {"samples": {"event_reasons": 0x20}}}, "slowed down for heat with all GPUs at work"),
        (LOAD, GPUS, {6: {"samples": {"temperature": 88}}}, "temperature of the hottest GPU"),
        (LOAD, GPUS, {7: {"differing": 1}}, "values that differ from the first product"),
        (MEMORY, GPUS, {}, None),
        (MEMORY, GPUS, {2: {"slower": 1.2, "alone": 1.2}}, "slowest beside its siblings"),
        (MEMORY, GPUS, {gpu: {"slower": 1.2} for gpu in EVERY}, "slowest beside itself alone"),
        (MEMORY, GPUS, {0: {"differing": 1}}, "copied words that differ"),
        (TRANSFER, GPUS, {}, None),
        (TRANSFER, GPUS, {gpu: {**HALVED, "to_host": HALVED} for gpu in EVERY}, None),
        (TRANSFER, GPUS, {4: {"slower": 2.0, "alone": 2.0}}, "slowest to device beside its siblings"),
        (TRANSFER, GPUS, {4: {"to_host": {"slower": 2.0, "alone": 2.0}}}, "slowest to host beside its siblings"),
        (TRANSFER, GPUS, {gpu: {"slower": 4.0} for gpu in EVERY}, "slowest to device beside itself alone"),
        (TRANSFER, GPUS, {gpu: {"to_host": {"slower": 4.0}} for gpu in EVERY}, "slowest to host beside itself alone"),
        (TRANSFER, GPUS, {1: {"to_host": {"differing": 1}}}, "words that differ"),
    ],
)
def test_each_fault_of_all_gpus_at_once_fails_alone(
    launched: Any, test: Any, gpus: tuple[Device, ...], faults: dict[int, dict[str, Any]], fault: str | None
) -> None:
    launched(answers(test, gpus, faults))
    evidence = judge(test, gpus, H200, fault=fault)
    assert len({kept.name for kept in evidence.kept}) == len(evidence.kept)
    if fault and "slowest" in fault and len(faults) < len(gpus):
        (kept,) = [kept for kept in evidence.kept if kept.name == fault]
        assert kept.source.startswith(
            f"GPU {max(faults) if len(faults) == 1 else min(faults)}, the lowest of {len(gpus)}"
        )


@pytest.mark.parametrize(
    ("test", "faults", "says"),
    [
        (LOAD, {2: {"samples": {"utilization": 40}}}, "GPU 2 was busy in 0%"),
        (LOAD, {2: {"samples": {"utilization": (100, 30)}}}, "GPU 2 was busy in 44%"),
        (LOAD, {4: {"late_s": 3.0}}, "worked at once for 5.0 s of 8.0: GPU 4 began last"),
        (LOAD, {4: {"late_s": 30.0}}, "worked at once for 0.0 s of 8.0: GPU 4 began last"),
        (LOAD, {6: {"samples": replace(sampled(6), readings=sampled(6).readings[:8])}}, "GPU 6 was sampled 3 times"),
        (LOAD, {6: {"slower": 25.0}}, "only 3 rounds of GPU 6 ended within"),
        (LOAD, {1: {"amount": 600.0}}, "GPU 1 reached 6000 TFLOP/s, but physics allows 989.5"),
        (LOAD, {5: {"disturbed": "GPU 5 was shared: 2 compute processes"}}, "GPU 5 was shared"),
        (MEMORY, {5: {"disturbed": "GPU 5 was shared: 2 compute processes"}}, "GPU 5 was shared"),
        (TRANSFER, {5: {"to_host": {"late_s": 8.0}}}, "GPU 5 began last"),
    ],
)
def test_what_proves_nothing_is_inconclusive(
    launched: Any, test: Any, faults: dict[int, dict[str, Any]], says: str
) -> None:
    launched(answers(test, GPUS, faults))
    with pytest.raises(Inconclusive, match=says.replace("(", r"\(")):
        test(GPUS, H200, Recorder())


def test_a_gpu_without_samples_is_inconclusive(launched: Any) -> None:
    missing = Sampled.model_validate(of_load(7)).model_copy(update={"samples": None})
    launched((*answers(LOAD, GPUS[:7], {}), missing.model_dump(mode="json")))
    with pytest.raises(Inconclusive, match="GPU 7 was sampled 0 times"):
        LOAD(GPUS, H200, Recorder())


def test_a_gpu_that_reports_no_utilisation_is_named(launched: Any) -> None:
    mute = [{name: value for name, value in one.items() if name != "utilization"} for one in sampled(3).readings]
    launched(answers(LOAD, GPUS, {3: {"samples": replace(sampled(3), readings=tuple(mute))}}))
    with pytest.raises(Inconclusive, match="GPU 3: the driver reports no utilization"):
        LOAD(GPUS, H200, Recorder())


@pytest.mark.parametrize(
    ("faults", "remedy"),
    [
        ({}, load.SLOW),
        ({5: {"slower": 1.3}}, load.SLOW),
        ({5: {"samples": {"event_reasons": 0x80}, "slower": 1.3}}, load.BRAKED),
        ({5: {"samples": {"event_reasons": 0x20}}}, load.HOT),
        ({5: {"samples": {"temperature": 88}}}, load.HOT),
        ({5: {"differing": 2, "samples": {"event_reasons": 0x80}}}, load.WRONG),
    ],
)
def test_the_remedy_is_that_of_the_cause(launched: Any, faults: dict[int, dict[str, Any]], remedy: Any) -> None:
    launched(answers(LOAD, GPUS, faults))
    assert load.measured(GPUS, H200).remedy(H200.limit("temperature.under_load")) == remedy


def test_evidence_has_the_figures_of_every_gpu_and_a_trace_of_each(launched: Any) -> None:
    launched(answers(LOAD, GPUS, {3: {"slower": 1.05}}))
    evidence = judge(LOAD, GPUS, H200, fault=None)
    kept = {each.name: each for each in evidence.kept}
    assert [trace.gpu for trace in evidence.traces] == list(range(8))
    assert evidence.traces[0].points[0].t == pytest.approx(UNIX + 0.5)
    assert kept["lowest bf16 matmul at once"].source.count("GPU ") == 9
    assert kept["bf16 matmul of all GPUs together"].value == pytest.approx(8 * 600 / 1.02, rel=0.02)
    assert kept["power of all GPUs"].value == 8 * 695
    assert kept["temperature of the hottest GPU"].value == 67


def test_evidence_names_the_memory_of_each_buffer(launched: Any) -> None:
    launched(answers(TRANSFER, GPUS, {}))
    evidence = judge(TRANSFER, GPUS, H200, fault=None)
    (place,) = [each.value for each in evidence.kept if each.name == "pinned host memory"]
    assert str(place).startswith("GPU 0 NUMA node 0, beside it, GPU 1 NUMA node 0, beside it")
    assert str(place).endswith("GPU 7 NUMA node 1, beside it")


@pytest.mark.parametrize(
    ("nodes", "beside", "known", "place"),
    [
        ((), (), 0, "an unknown place: the kernel reports no NUMA nodes"),
        ((0,), (), 1, "NUMA node 0, the only one"),
        ((0, 1), (), 2, "NUMA node 0 or 1; the kernel does not report which is beside it"),
        ((1,), (1,), 2, "NUMA node 1, beside it"),
        ((0,), (1,), 2, "NUMA node 0, where this process may run, and not 1, which is beside it"),
    ],
)
def test_it_is_said_where_a_buffer_was(nodes: tuple[int, ...], beside: tuple[int, ...], known: int, place: str) -> None:
    assert transfer.where(Transferred(rounds={}, nodes=nodes, beside=beside, known=known)) == place


def test_ranks_are_told_how_many_processes_of_this_run_use_their_gpu(
    launched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "is_open_here", lambda gpu: gpu.index == 1)
    told = launched(answers(LOAD, TWO, {}))
    load.measured(TWO, H200)
    assert told[0]["ours"] == [1, 2]


def test_who_cannot_be_told_is_a_disturbance(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(gpu: Device, ours: int) -> None:
        raise Inconclusive("the driver lists no process", "Look with nvidia-smi.")

    monkeypatch.setattr(Device, "other_processes", refuse)
    assert neighbours.seen(GPUS[0], 1) == ("the driver lists no process", ("Look with nvidia-smi.",))
