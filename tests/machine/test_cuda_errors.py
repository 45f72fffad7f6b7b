"""CUDA's errors: a program's message is traced to its error, and messages without one are left alone."""

import pytest

from dgxcert.machine import cuda_errors

TORCH = (
    "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
    "NumCudaDevices() that might have already set an error? Error {}: {}"
)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (TORCH.format(802, "system not yet initialized"), 802),
        (TORCH.format(803, "system has unsupported display driver / cuda driver combination"), 803),
        (TORCH.format(101, "invalid device ordinal"), 101),
        (TORCH.format(304, "OS call failed or operation not supported on this OS"), 304),
        ("cuda runtime error (802) : system not yet initialized at THCGeneral.cpp:50", 802),
        ("cudaGetDeviceProperties returned 802\n-> system not yet initialized", 802),
        ('CUDA error at bandwidthTest.cu:256 code=802(cudaErrorSystemNotReady) "cudaSetDevice(device)"', 802),
        ("Couldn't init CUDA: Error (gpu_burn-drv.cpp:304): system not yet initialized", 802),
        ("ggml_cuda_init: failed to initialize CUDA: system not yet initialized", 802),
        ("ggml_cuda_init: failed to initialize CUDA: unknown error", 999),
        ("cuInit(0) returned 100", 100),
        ("cuInit: 999", 999),
        ("Call to cuInit results in CUDA_ERROR_NO_DEVICE (100)", 100),
        ("failed call to cuInit: UNKNOWN ERROR (303)", 303),
        ("nvidia-container-cli: initialization error: cuda error: no cuda-capable device is detected", 100),
        ("nvidia-container-cli: initialization error: cuda error: unknown error", 999),
        ("torch.cuda.OutOfMemoryError: CUDA error: out of memory", 2),
        ("RuntimeError: CUDA error: initialization error", 3),
        ("torch.AcceleratorError: CUDA error: operation not permitted", 800),
        ("CUDA initialization: CUDA driver initialization failed, you might not have a CUDA gpu.", 3),
        ("CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing env", 999),
        ("CUDA initialization: The NVIDIA driver on your system is too old (found version 12040).", 35),
        ("RuntimeError: No CUDA GPUs are available", 100),
        ("all CUDA-capable devices are busy or unavailable", 46),
        ("cupy.cuda.runtime.CUDARuntimeError: cudaErrorSystemNotReady: system not yet initialized", 802),
        ("cu->cuInit(0) failed -> CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported display driver", 803),
        ("CUDA error 46", 46),
    ],
)
def test_a_message_names_its_error(message: str, code: int) -> None:
    found = cuda_errors.named_in(message)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Failed to initialize NVML: Unknown Error",
        "open /dev/nvidiactl: operation not permitted",
        "OSError: [Errno 2] No such file or directory",
        "Error 404: not found",
        "the image is for CUDA 13.0, and the driver for 12.4",
        "torch 2.10, built for CUDA 13.0",
        "cudaGetDeviceCount returned 0",
        "cudaGetDeviceCount returned 2 devices",
        "cudaMalloc of 100 MB failed",
    ],
)
def test_other_messages_name_none(message: str) -> None:
    assert cuda_errors.named_in(message) is None


def test_every_error_is_told_by_each_of_its_names_and_has_a_remedy() -> None:
    for error in cuda_errors.TABLE:
        assert error.remedy
        for name in filter(None, (error.driver, error.runtime)):
            assert cuda_errors.named_in(f"x: {name}") is error
        assert cuda_errors.named_in(f"CUDA error: {error.message}") is error, error


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (802, "nvidia-fabricmanager"),
        (46, "--gpu-reset"),
        (999, "sudo reboot"),
        (100, "nvidia-ctk cdi"),
        (804, "compat"),
    ],
)
def test_the_remedy_is_the_errors_own(code: int, word: str) -> None:
    assert word in " ".join(cuda_errors.find(code).remedy)


def test_an_error_in_no_table_keeps_its_code() -> None:
    assert "711" in cuda_errors.find(711).description
