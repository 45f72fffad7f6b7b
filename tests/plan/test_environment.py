"""A variable that can change a result is removed or named, never silent; a secret's value is never shown."""

import pytest

from dgxcert.plan import environment

REMOVED = """
LD_PRELOAD LD_AUDIT CUDA_VISIBLE_DEVICES PYTEST_ADDOPTS PYTHONSTARTUP PYTHONHOME PYTHONUSERBASE PYTHONOPTIMIZE
PYTHONWARNINGS PYTHONINSPECT PYTHONBREAKPOINT PYTHONPLATLIBDIR
"""
NAMED = """
PYTHONPATH LD_LIBRARY_PATH GLIBC_TUNABLES MALLOC_ARENA_MAX CUDA_LAUNCH_BLOCKING CUDA_NEW_SETTING NVIDIA_TF32_OVERRIDE
NVIDIA_VISIBLE_DEVICES TORCH_ALLOW_TF32_CUBLAS_OVERRIDE TORCHDYNAMO_DISABLE TORCHINDUCTOR_MAX_AUTOTUNE
PYTORCH_CUDA_ALLOC_CONF NCCL_P2P_DISABLE HF_HUB_ENABLE_HF_TRANSFER TRANSFORMERS_ATTN CUBLAS_WORKSPACE_CONFIG
CUBLASLT_LOG_LEVEL CUDNN_LOGINFO_DBG OMP_NUM_THREADS MKL_CBWR OPENBLAS_CORETYPE KMP_AFFINITY GOMP_CPU_AFFINITY
TRITON_INTERPRET BNB_NEW_SETTING
"""
NEEDED = "HF_HOME HF_TOKEN HF_ENDPOINT HF_HUB_DISABLE_XET TRITON_PTXAS_PATH CUDA_HOME NCCL_VERSION"


@pytest.mark.parametrize("name", REMOVED.split())
def test_what_changes_the_code_that_runs_is_removed_and_named(name: str) -> None:
    variables = {"LANG": "C", name: "x"}
    assert environment.kept(variables) == {"LANG": "C"}
    assert environment.ignored(variables) == (name,)
    assert environment.unusual(variables) == ()


@pytest.mark.parametrize("name", NAMED.split())
def test_what_may_change_a_result_is_kept_and_named_with_its_value(name: str) -> None:
    variables = {"LANG": "C", name: "1"}
    assert environment.kept(variables) == variables
    assert environment.unusual(variables) == (f"{name}=1",)


@pytest.mark.parametrize("name", NEEDED.split())
def test_what_is_needed_and_changes_no_result_is_kept_without_a_word(name: str) -> None:
    assert environment.kept({name: "x"}) == {name: "x"}
    assert environment.unusual({name: "x"}) == ()


@pytest.mark.parametrize(
    ("name", "value"), [("HF_API_KEY", "hf_abc"), ("HF_OTHER_TOKEN", "hf_abc"), ("NCCL_NET", "https://me:hf_abc@host")]
)
def test_the_value_of_a_secret_is_not_shown(name: str, value: str) -> None:
    assert environment.unusual({name: value}) == (f"{name}=(not shown)",)


def test_a_long_value_is_cut_and_an_empty_one_is_none() -> None:
    (said,) = environment.unusual({"LD_LIBRARY_PATH": "x" * 500, "OMP_NUM_THREADS": ""})
    assert len(said) < 120
