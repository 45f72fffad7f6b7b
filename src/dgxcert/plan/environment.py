"""The environment of children: which variables are removed, and which are kept and named in every report.

Only what this process was started with is judged. A container gets none of it but what compose.yaml names.
"""

import os
import re
from collections.abc import Mapping

REMOVED = (
    "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
    "CUDA_VISIBLE_DEVICES",
    "LD_PRELOAD",
    "LD_AUDIT",
)
"""Removed from a child's environment: they change what pytest runs, which GPUs it sees, or the code of libraries."""
PYTHON = re.compile(r"PYTHON[A-Z]+")
PYTHON_KEPT = (
    "PYTHONPATH",  # kept and named: a checkout may be run from it
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONIOENCODING",
    "PYTHONUTF8",
    "PYTHONHASHSEED",
    "PYTHONNOUSERSITE",
    "PYTHONPYCACHEPREFIX",
)
"""Every other variable of the interpreter is removed: PYTHONOPTIMIZE, PYTHONSTARTUP, PYTHONHOME, PYTHONUSERBASE, ..."""

CHANGES_RESULTS = re.compile(
    r"(?:PYTHONPATH$|LD_|GLIBC_TUNABLES$|MALLOC_|CUDA|NVIDIA_|TORCH|PYTORCH_|NCCL_|GLOO_|HF_|TRANSFORMERS_|DATASETS_|ACCELERATE_|USE_T|USE_FLAX|USE_JAX|AOT_?INDUCTOR_|DISABLE_LLVM_|DISABLE_PTXAS_|XFORMERS_|UNSLOTH_"
    r"|CUBLAS|CUDNN|CUSPARSE|CUTLASS_|NVTE_|OMP_|MKL_|OPENBLAS_|BLIS_|KMP_|GOMP_|DNNL_|ONEDNN_|ATEN_|TRITON_|BNB_"
    r"|BITSANDBYTES_|XLA_|FLASH_ATTENTION_|AUTOCAST_|TOKENIZERS_|SAFETENSORS_)"
)
"""Settings of the libraries that a measurement stands on, by the beginning of their names."""
HARMLESS = re.compile(
    r"(?:HF_HOME|HF_HUB_CACHE|HF_TOKEN|HF_TOKEN_PATH|HF_ENDPOINT|HF_HUB_OFFLINE|HF_HUB_DISABLE_\w+|HF_HUB_\w+_TIMEOUT"
    r"|HF_DATASETS_CACHE|TRITON_PTXAS_PATH|TRITON_CACHE_DIR|TORCHINDUCTOR_CACHE_DIR|TORCH_HOME|CUDA_HOME|CUDA_PATH"
    r"|CUDA_DEVICE_ORDER|CUDA_CACHE_PATH|NVIDIA_DRIVER_CAPABILITIES|NVIDIA_REQUIRE_\w+|NVIDIA_PRODUCT_NAME|NVIDIA_BUILD_ID"
    r"|TORCH_CUDA_ARCH_LIST|TOKENIZERS_PARALLELISM|\w+_VERSION)"
)
"""Of these, those that say where things are or which version they have, and change no result."""
SECRET = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
SHOWN = 80
"""Characters of a value that are shown."""


def is_removed(name: str) -> bool:
    """Whether a variable is removed from the environment of children.

    >>> is_removed("LD_PRELOAD"), is_removed("PYTHONSTARTUP"), is_removed("PYTHONPATH"), is_removed("HF_HOME")
    (True, True, False, False)
    """
    return name in REMOVED or (PYTHON.fullmatch(name) is not None and name not in PYTHON_KEPT)


def kept(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that children get.

    >>> kept({"LANG": "C", "PYTHONOPTIMIZE": "2"})
    {'LANG': 'C'}
    """
    return {name: value for name, value in variables.items() if not is_removed(name)}


def ignored(variables: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of the variables that are set and removed.

    >>> ignored({"LANG": "C", "PYTHONOPTIMIZE": "2", "LD_PRELOAD": ""})
    ('PYTHONOPTIMIZE',)
    """
    return tuple(sorted(name for name, value in variables.items() if value and is_removed(name)))


def unusual(variables: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The variables that children get and that can change a result, with their values.

    >>> unusual({"OMP_NUM_THREADS": "1", "HF_HOME": "/data", "CUBLAS_WORKSPACE_CONFIG": ":0:0", "LANG": "C"})
    ('CUBLAS_WORKSPACE_CONFIG=:0:0', 'OMP_NUM_THREADS=1')
    """
    names = [name for name, value in variables.items() if value and CHANGES_RESULTS.match(name)]
    named = [name for name in names if not is_removed(name) and not HARMLESS.fullmatch(name)]
    return tuple(sorted(f"{name}={shown(name, variables[name])}" for name in named))


def shown(name: str, value: str) -> str:
    """A value, or a placeholder where it may hold a secret; cut where it is long.

    >>> shown("HF_API_KEY", "hf_abc"), shown("TORCH_COMPILE_DISABLE", "1")
    ('(not shown)', '1')
    """
    if SECRET.search(name) or "@" in value:
        return "(not shown)"
    return value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
