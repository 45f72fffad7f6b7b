"""Switches: environment variables that turn compilation or kernels off, or change what they compute.

A notebook inherits them from a shell's start-up file, a job script or a debugging session long over. The names are
those that torch 2.10 to 2.13, triton 3.5, transformers 4.57 to 5.23 and CUDA 13 read; a test compares the table with
what the installed torch reads.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dgxcert.plan import environment
from dgxcert.probes.stack import lockfile

TRUE = r"1|on|yes|true|y"
"""What libraries take for true, in any case of letters."""
FALSE = r"0|off|no|false|n"
ANY = r".+"

SWITCHES: tuple[tuple[str, str, str], ...] = (
    # torch._dynamo.eval_frame and torch._dynamo.config; transformers and accelerate compile through both
    (r"TORCHDYNAMO_DISABLE|TORCH_COMPILE_DISABLE", "1", "torch.compile returns the function as it is"),
    (r"TORCHDYNAMO_SUPPRESS_ERRORS", ANY, "what fails to compile runs uncompiled, without a word"),
    (r"TORCH_COMPILE_OVERRIDE_\w+", ANY, "other backends or settings take the place of those in the code"),
    # torch.jit._state and torch.jit._trace, torch._native
    (r"PYTORCH_JIT", FALSE, "TorchScript runs in Python"),
    (r"PYTORCH_JIT_DISABLE|TORCH_JIT_DISABLE_NEW_EXECUTOR", ANY, "TorchScript's tracer or executor is off"),
    (r"TORCH_DISABLE_NATIVE_JIT", "1", "torch's own kernels in Triton and CuTe are off"),
    (r"TORCHINDUCTOR_DISABLED_PASSES", ANY, "inductor leaves out passes"),
    (r"TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1", "inductor compiles everything again in every process"),
    (r"TORCHINDUCTOR_(USE_FAST_MATH|CPP_ENABLE_UNSAFE_MATH_OPT_FLAG)", "1", "compiled kernels compute less exactly"),
    (r"TORCHINDUCTOR_VEC_ISA_OK", "0", "inductor makes no vector code for the CPU"),
    # triton.knobs
    (r"TRITON_INTERPRET", TRUE, "kernels run in Python, thousands of times slower"),
    (r"TRITON_ALWAYS_COMPILE", TRUE, "every kernel is compiled again in every process"),
    (r"TRITON_DISABLE_\w+|DISABLE_LLVM_OPT|DISABLE_PTXAS_OPT", ANY, "kernels are compiled without optimisations"),
    # aten: CUDAContext, cudnn, CUDACachingAllocator; DispatchStub for the CPU
    (r"TORCH_CUDNN_V8_API_DISABLED", ANY, "torch uses cuDNN's old interface"),
    (r"PYTORCH_NO_CUDA_MEMORY_CACHING", ANY, "each tensor is allocated by the driver"),
    (r"TORCH_CUDA_SANITIZER|PYTORCH_CUDA_MEMCHECK", ANY, "each kernel is followed by a debugging tool"),
    (r"ATEN_CPU_CAPABILITY", r"default", "torch's CPU kernels use no vectors"),
    (r"ATEN_DISABLE_\w+|TORCH_DISABLE_\w*(CUDNN|MKLDNN|FLASH)\w*", ANY, "some of torch's kernels are off"),
    # CUDA: "Environment Variables" in NVIDIA's programming guide; cuBLAS' documentation for TF32
    (r"CUDA_LAUNCH_BLOCKING", "1", "each kernel is waited for"),
    (r"CUDA_FORCE_PTX_JIT", "1", "the driver compiles every kernel from PTX, and fails without it"),
    (r"CUDA_FORCE_JIT|CUDA_DISABLE_PTX_JIT|CUDA_DISABLE_JIT", "1", "the driver may find no code for this GPU"),
    (r"CUDA_CACHE_DISABLE", "1", "the driver compiles kernels again in every process"),
    (r"NVIDIA_TF32_OVERRIDE", "[01]", "the precision of fp32 products is not what the code asks for"),
    # transformers.utils.import_utils and datasets.config (4.x): PyTorch is switched off by either
    (r"USE_TORCH", FALSE, "transformers and datasets work without PyTorch"),
    (r"USE_TF|USE_FLAX|USE_JAX", TRUE, "transformers and datasets prefer another framework to PyTorch"),
    (r"TRANSFORMERS_DISABLE_\w+", TRUE, "transformers leaves out a check or a kernel"),
    # accelerate.utils.environment
    (r"ACCELERATE_USE_CPU", TRUE, "accelerate and Trainer train on the CPU"),
    (
        r"ACCELERATE_(DYNAMO_BACKEND|TORCH_DEVICE|USE_DEEPSPEED|USE_FSDP|USE_MEGATRON_LM)",
        ANY,
        "accelerate is configured",
    ),
    (r"ACCELERATE_MIXED_PRECISION", r"fp8|fp16|bf16", "Trainer computes in another precision than the code says"),
    (
        r"FLASH_ATTENTION_(DISABLE|SKIP|FORCE)\w*|NVTE_(FLASH|FUSED|UNFUSED)_ATTN",
        ANY,
        "attention kernels are chosen by hand",
    ),
    (r"(DISABLE|NO)_FLASH_ATTN\w*|XFORMERS_\w*DISABLE\w*|UNSLOTH_(COMPILE_)?DISABLE\w*", ANY, "fast kernels are off"),
)
"""Name and value of each switch as patterns for the whole text, and what it does. The first that fits counts."""

DECLARED_HARMLESS = re.compile(
    r"DISABLED_TESTS_FILE|DISABLE_CUPTI_LAZY_REINIT|DCP_DISABLE_\w+|INDUCTOR_TEST_\w+|PIP_\w+|QUACK_\w+|\w*TEST\w*"
    r"|TORCHINDUCTOR_DISABLE_MULTI_KERNEL_CACHE|TORCHINDUCTOR_TRITON_DISABLE_DEVICE_DETECTION"
    r"|TORCH_DISABLE_SHARE_RDZV_TCP_STORE|NCCL_\w+|HF_\w+|DISABLE_(MLFLOW|KUBEFLOW)_INTEGRATION"
    r"|DISABLE_SAFETENSORS_CONVERSION|WANDB_DISABLED"
)
"""Variables that say DISABLE and change neither what is computed nor how fast: tests, logs, the Hub."""

OF_COMPILERS = re.compile(
    r"(TORCHDYNAMO|TORCHINDUCTOR|TORCH_COMPILE|TORCH_DYNAMO|TORCH_INDUCTOR|AOT_?INDUCTOR|TRITON|PYTORCH_JIT|TORCH_DISABLE"
    r"|DISABLE_LLVM|DISABLE_PTXAS)\w*"
)
"""All that torch.compile and Triton read."""
PLACES = re.compile(
    r"\w+_(DIR|PATH|HOME|LOGS?|VERBOSE|THREADS|WORKER_START|TIMEOUT\w*|CACHE|KEY_TAG|JOB_ID)|TRITON_CACHE\w*"
    r"|\w+_(AUTOTUNE\w*|CPROFILE|DEBUG\w*)"
)
"""Of these, those that say where, how much is printed, or how long is searched."""

LIBRARIES = re.compile(r"lib(cudart|cublas\w*|cudnn\w*|cufft|curand|cusolver|cusparse|nvrtc|nccl|nvJitLink)\.so\.\d+")
"""Libraries of CUDA that torch brings along; LD_LIBRARY_PATH outranks torch's own (RUNPATH)."""


@dataclass(frozen=True)
class Switch:
    """One variable that is set to a value which switches something off or changes it."""

    name: str
    value: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}: {self.meaning}"


def read() -> tuple[Switch, ...]:
    """The switches of this process, without those that the base image sets itself."""
    return parse(os.environ, _of_the_image()) + other_cuda(os.environ.get("LD_LIBRARY_PATH", ""))


def parse(variables: Mapping[str, str], own: frozenset[str] = frozenset()) -> tuple[Switch, ...]:
    """The switches among the variables, by name; `own` are the names that belong to the image.

    >>> [str(each) for each in parse({"TRITON_INTERPRET": "1", "PYTORCH_JIT": "1", "LANG": "C"})]
    ['TRITON_INTERPRET=1: kernels run in Python, thousands of times slower']
    """
    found = []
    for name, value in sorted(variables.items()):
        rule = next((rule for rule in SWITCHES if value and re.fullmatch(rule[0], name)), None)
        if rule and name not in own and re.fullmatch(rule[1], value.strip(), re.IGNORECASE):
            found.append(Switch(name, environment.shown(name, value), rule[2]))
    return tuple(found)


def other_cuda(folders: str) -> tuple[Switch, ...]:
    """LD_LIBRARY_PATH, where it leads to libraries of CUDA that torch brings along in files of its own."""
    own = {file.name: file.resolve() for folder in _torch_s_own() for file in folder.glob("lib*.so.*")}
    listed = [Path(folder) for folder in folders.split(os.pathsep) if folder and Path(folder).is_dir()]
    there = [file for folder in listed for file in sorted(folder.glob("lib*.so.*")) if LIBRARIES.fullmatch(file.name)]
    other = [file for file in there if own.get(file.name, file.resolve()) != file.resolve()]
    if not other:
        return ()
    names = ", ".join(map(str, other[:3]))
    return (Switch("LD_LIBRARY_PATH", names, "loaded in place of the libraries that torch was built with"),)


def _torch_s_own() -> list[Path]:
    """The folders of NVIDIA's wheels, and that of torch; none in an image, whose torch uses the system's CUDA."""
    from importlib import util

    spec = util.find_spec("torch")
    if spec is None or spec.origin is None:
        return []
    site = Path(spec.origin).parents[1]
    return [folder for pattern in ("nvidia/*/lib", "torch/lib") for folder in site.glob(pattern)]


def _of_the_image() -> frozenset[str]:
    """The names of the variables of the base image, which its guard has listed."""
    file = lockfile.IMAGE / "base.json"
    return (
        frozenset(json.loads(file.read_text(encoding="utf-8")).get("variables", ())) if file.is_file() else frozenset()
    )


def of_compilers(variables: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of the set variables that torch.compile and Triton read and that change what they make.

    >>> of_compilers({"TORCHINDUCTOR_CPP_WRAPPER": "1", "TORCHINDUCTOR_CACHE_DIR": "/cache", "LANG": "C"})
    ('TORCHINDUCTOR_CPP_WRAPPER',)
    """
    named = (name for name, value in variables.items() if value and OF_COMPILERS.fullmatch(name))
    return tuple(sorted(name for name in named if not PLACES.fullmatch(name)))


def unset(names: tuple[str, ...]) -> tuple[str, ...]:
    """The steps that take variables out of a shell and of the files that set them again; none without a name.

    >>> unset(("TORCH_COMPILE_DISABLE",))[0]
    'In this shell, and in the one that starts your notebooks: unset TORCH_COMPILE_DISABLE'
    """
    if not names:
        return ()
    return (
        f"In this shell, and in the one that starts your notebooks: unset {' '.join(names)}",
        f"If it comes back with a new shell, find the line that sets it: grep -nsE '{'|'.join(names)}' "
        "~/.bashrc ~/.profile ~/.bash_profile /etc/environment",
    )
