"""A start-up error is known by what it says; every row has a published text, and every remedy can be typed."""

from typing import Any

import paths
import pytest
import yaml
from remedies import commands

from dgxcert.container.engine_kind import DOCKER, KINDS, SNAP, EngineKind
from dgxcert.probes.host.engine import cause, start_errors

OCI = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
WRAPPERS = {
    "{oci}": OCI,
    "{hook}": f"{OCI}runc create failed: unable to start container process: error during container init: error running "
    "prestart hook #0: exit status 1, stdout: , stderr: ",
    "{injected}": f"{OCI}could not apply required modification to OCI specification: error modifying OCI spec: ",
}
CAUSES = (*start_errors.OF_THE_TOOLKIT, *start_errors.OF_THE_RUNTIME)
TEXTS: list[dict[str, str]] = yaml.safe_load(
    (paths.RECORDED / "engines" / "start_errors.yaml").read_text(encoding="utf-8")
)


def wrapped(text: str) -> str:
    """The text with the wrappers that it stands in."""
    for name, words in WRAPPERS.items():
        text = text.replace(name, words)
    return text


def kind_of(row: dict[str, Any]) -> EngineKind:
    """The kind of engine that said it."""
    return KINDS[row.get("kind", DOCKER.name)]


@pytest.mark.parametrize("row", TEXTS, ids=[str(number) for number in range(len(TEXTS))])
def test_a_published_text_has_its_cause_and_its_remedy(row: dict[str, str]) -> None:
    found = start_errors.find(wrapped(row["text"]), kind_of(row))
    assert found is not None
    assert row["says"] in found.meaning
    assert row["do"] in " ".join(found.remedy)
    assert row["source"]


def test_every_row_has_a_text() -> None:
    """First matches only: a row that an earlier one hides has none."""
    used = set()
    for row in TEXTS:
        text, kind = cause.plain(wrapped(row["text"])), kind_of(row)
        used.add(next(each.pattern for each in CAUSES if each.kind in (None, kind) and each.compiled.search(text)))
    assert [each.pattern for each in CAUSES if each.pattern not in used] == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_every_remedy_can_be_typed_for_every_kind_of_engine(kind: EngineKind) -> None:
    found = [start_errors.explain(wrapped(row["text"]), kind) for row in TEXTS]
    faults = {fault for each in found for step in each.remedy for fault in commands.faults_of(step)}
    assert faults == set()


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind is not DOCKER], ids=lambda kind: kind.name)
def test_no_remedy_restarts_an_engine_of_another_kind(kind: EngineKind) -> None:
    for row in TEXTS:
        steps = " ".join(start_errors.explain(wrapped(row["text"]), kind).remedy)
        for own in (DOCKER.restart, DOCKER.start, DOCKER.config, DOCKER.log):
            assert own not in steps.replace(kind.config, "")


def test_nothing_that_a_text_does_not_name_stays_in_a_remedy() -> None:
    for row in TEXTS:
        found = start_errors.explain(wrapped(row["text"]), kind_of(row))
        words = " ".join((found.meaning, *found.remedy)).replace("$USER", "").replace("$HOME", "").replace("$(", "")
        assert "$" not in words


@pytest.mark.parametrize(
    "text",
    [
        "",
        "something that nobody has seen",
        "Hello from Docker!",
        "ModuleNotFoundError: No module named 'torch'",
        "AssertionError: products differ",
        "OSError: libcudart.so.13: cannot open shared object file: No such file or directory",
        "No such file or directory: 'config.json'",
        "/usr/bin/python3: No module named dgxcert.probes.gpu.compute",
        "ValueError: invalid mode",
    ],
)
def test_an_unknown_text_is_shown_and_not_guessed_at(text: str) -> None:
    assert start_errors.find(text) is None
    unknown = start_errors.explain(text, SNAP)
    assert unknown.sentence == text
    assert SNAP.log in " ".join(unknown.remedy)


def test_the_line_that_matched_is_shown_whole() -> None:
    found = start_errors.find(wrapped("{hook}Auto-detected mode as 'legacy'\nnvidia-container-cli: mount error: x: y"))
    assert found is not None
    assert found.sentence == "nvidia-container-cli: mount error: x: y"


TORCH = "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
"NumCudaDevices() that "
WARNING = "/usr/lib/python3/torch/cuda/__init__.py:180: UserWarning: CUDA initialization: "


@pytest.mark.parametrize(
    ("text", "code", "step"),
    [
        (  # pytorch/ci-infra#541
            "transport/nvls.cc:254 NCCL WARN Cuda failure 401 'the operation cannot be performed in the present state'",
            401,
            "systemctl status nvidia-fabricmanager",
        ),
        (
            f"RuntimeError: {TORCH}might have already set an error? Error 802: system not yet initialized",
            802,
            "systemctl status nvidia-fabricmanager",
        ),
        (
            f"{WARNING}{TORCH}... Error 802: system not yet initialized (Triggered internally at x)\n  return y",
            802,
            "reboot",
        ),
        ("RuntimeError: No CUDA GPUs are available", 100, "sudo nvidia-ctk cdi generate"),
        ("RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU", 35, "driver"),
        (f"{WARNING}The NVIDIA driver on your system is too old (found version 12040).", 35, "Update the driver"),
        (
            f"{TORCH}... Error 804: forward compatibility was attempted on non supported HW",
            804,
            "LD_LIBRARY_PATH",
        ),
        (
            "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device\nFor "
            "debugging",
            209,
            "image",
        ),
        (
            "CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing",
            999,
            "nvidia-modprobe",
        ),
        (
            "RuntimeError: CUDA error: operation not permitted\nCompile with `TORCH_USE_CUDA_DSA` to enable",
            800,
            "ls -l /dev/nvidia*",
        ),
        ("RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable", 46, "--gpu-reset"),
        ("RuntimeError: CUDA error: out of memory", 2, "free -h"),
    ],
)
def test_an_error_of_cuda_in_a_container_is_named_with_its_remedy(text: str, code: int, step: str) -> None:
    found = start_errors.find(text)
    assert found is not None
    assert found.meaning.startswith(f"CUDA error {code}, ")
    assert step in " ".join(found.remedy)
    assert found.sentence in " ".join(text.split())
    assert not found.sentence.startswith(("return", "Compile with", "For debugging"))


def test_a_library_and_a_module_of_different_versions_want_a_restart() -> None:
    found = start_errors.find("Failed to initialize NVML: Driver/library version mismatch")
    assert found is not None
    assert "sudo reboot" in found.remedy[0]


def test_a_warning_about_a_new_gpu_is_no_cause() -> None:
    assert start_errors.find("UserWarning: Found GPU0 NVIDIA GB10 which is of cuda capability 12.1.") is None


def test_every_look_for_specifications_names_their_files() -> None:
    """grep without a file waits for its input."""
    (step,) = [step for step in start_errors.explain("unresolvable CDI devices").remedy if "grep -l" in step]
    assert step.endswith("grep -l nvidia.com/gpu /etc/cdi/* /var/run/cdi/*")
