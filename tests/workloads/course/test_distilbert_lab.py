"""The lab is the course's, trains on the device that Trainer takes, on labels without a common word."""

import importlib

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")
pytest.importorskip("transformers", reason="the workloads need transformers: make setup")

from dgxcert.machine.device import Device
from dgxcert.machine.identity import Gpu, Machine, MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.profiles import profile as profiles
from dgxcert.workloads import allocation
from dgxcert.workloads.course import distilbert_lab
from dgxcert.workloads.models import text

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

CPU = Device("cpu", 0, "CPU")
MACHINE = Machine(hostname="spark-07", kernel="6.14", architecture="aarch64", cores=20, cpu="a CPU")


def test_the_device_is_the_one_that_trainer_takes() -> None:
    spark = profiles.load("dgx-spark")
    gpu = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-1", compute_capability="12.1")
    device = distilbert_lab.first_device(spark, MACHINE.model_copy(update={"gpus": (gpu,)}))
    assert device == Device("cuda", 0, "NVIDIA GB10", memory=MemoryKind.UNIFIED, margin_gib=spark.memory.margin.value)
    assert distilbert_lab.first_device(profiles.load("cpu"), MACHINE).name == "cpu"
    with pytest.raises(Inconclusive, match="no GPU"):
        distilbert_lab.first_device(spark, MACHINE)


def test_a_trainer_that_does_not_call_back_before_a_step_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "_available", lambda device: memory.Usable(64.0, "a test"))
    handler = importlib.import_module("transformers.trainer_callback").CallbackHandler
    monkeypatch.setattr(handler, "on_pre_optimizer_step", lambda self, args, state, control: control)
    small = {"steps": 8, "hidden": 32, "heads": 2, "length": 16}
    with pytest.raises(Inconclusive, match="no gradient could be checked"):
        distilbert_lab.train(CPU, profiles.load("cpu").workloads.lab.model_copy(update=small))


def test_the_lab_is_the_courses() -> None:
    sizes = profiles.load("dgx-spark").workloads.lab
    assert (sizes.layers, sizes.hidden, sizes.heads, sizes.intermediate) == (6, 768, 12, 3072)
    assert (sizes.batch, sizes.length, sizes.learning_rate) == (32, 256, 3e-4)
    assert (distilbert_lab.TARGETS, distilbert_lab.HEADS) == (("q_lin", "v_lin"), ("classifier", "pre_classifier"))
    assert (distilbert_lab.RANK, distilbert_lab.ALPHA) == (16, 32)


def test_the_labels_share_no_word() -> None:
    tokenizer = text.tokenizer()
    rows = distilbert_lab.dataset(tokenizer, profiles.load("cpu").workloads.lab.model_copy(update={"length": 256}))
    words: tuple[set[str], set[str]] = (set(), set())
    for ids, label in zip(rows["input_ids"], rows["labels"], strict=True):
        words[label].update(tokenizer.decode(ids, skip_special_tokens=True).split())
    assert [len(vocabulary) for vocabulary in words] == [distilbert_lab.LABEL_WORDS, distilbert_lab.LABEL_WORDS]
    assert not words[0] & words[1]
