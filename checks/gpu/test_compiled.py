"""GPU compilers: Triton and torch.compile compile for this device, and their kernels compute the right result."""

from dgxcert import requirement
from dgxcert.machine.trait import Trait
from dgxcert.probes.stack import base_image
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import torch_compile, triton_kernel


@requirement(
    "TRITON-KERNEL",
    title="A Triton kernel compiles for this device and is exact",
    why="torch.compile, Liger and Unsloth run Triton kernels, which each machine compiles for itself.",
    remedy=(
        "Print the version, in `make shell`: python -c 'import triton; print(triton.__version__)'",
        "Use the ptxas of CUDA if Triton's own does not know the GPU (\"'sm_121a' is not defined\"): "
        "export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas",
        *torch_compile.SET_ASIDE,
        Trait.NATIVE.only("Run in the container, whose Triton was built for this GPU: make validate RUNTIME=docker"),
    ),
    takes_s=3,
    budget_s=180,
)
def test_a_triton_kernel_compiles_and_is_exact(gpu, evidence):
    wrong = triton_kernel.wrong_numbers(gpu, evidence)
    source = f"compiled without a cache and run on {gpu.name}: multiply-add of {triton_kernel.LENGTH} integers"
    numbers = evidence.record("wrong numbers", wrong, unit=f"of {triton_kernel.LENGTH}", source=source)
    assert numbers == 0


@requirement(
    "COMPILE-CORRECT",
    title="A layer compiled by torch.compile computes the right result",
    why="transformers compiles generation with a static cache, and Trainer takes torch_compile=True: a wrong kernel "
    "or a silent fallback to eager mode costs quality or speed without an error.",
    remedy=(
        "Read the evidence: it names what is wrong, and by how much.",
        *torch_compile.SET_ASIDE,
        "Fix TRITON-KERNEL first if it fails too.",
        *base_image.OTHER_TORCH,
        "Until it is right, work without torch.compile.",
    ),
    tier="standard",
    takes_s=8,
    budget_s=240,
)
def test_a_compiled_layer_computes_what_it_says(device, evidence):
    layer = torch_compile.run(device, evidence)
    source = f"torch.compile of a decoder layer on {device.name}, without a cache"
    kernels = evidence.record(
        "compiled kernels", layer.kernels, unit="kernel", source=f"{source}, {layer.graphs} graph"
    )
    error = evidence.record("compiled layer error", layer.error, unit="relative", source=f"{source}, against fp64")
    assert kernels >= torch_compile.OWN_KERNELS
    assert error.within(numerics.matmul_tolerance("fp32"))
