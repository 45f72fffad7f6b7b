"""GPU compilers: what Triton and torch.compile make for this device is compiled, and computes the right answer."""

from dgxcert import requirement
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import torch_compile, triton_kernel


@requirement(
    "TRITON-KERNEL",
    why="What torch.compile, Liger and Unsloth make are Triton programs, and each machine compiles them for itself.",
    remedy=(
        "Look: python -c 'import triton; print(triton.__version__)'",
        "\"'sm_121a' is not defined for option 'gpu-name'\": export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas",
        "Wrong numbers: delete what was compiled by other versions with `rm -rf ~/.triton/cache`, and run it again.",
        "Still wrong: run in the container (`make validate`), whose Triton was built for this GPU.",
    ),
    takes_s=6,
    budget_s=180,
)
def test_a_triton_kernel_compiles_and_is_exact(gpu, evidence):
    wrong = triton_kernel.wrong_numbers(gpu, evidence)
    source = f"compiled anew and run on {gpu.name}: {triton_kernel.LENGTH} whole numbers, multiplied and added"
    numbers = evidence.record("wrong numbers", wrong, unit=f"of {triton_kernel.LENGTH}", source=source)
    assert numbers == 0


@requirement(
    "COMPILE-CORRECT",
    why="transformers compiles generation with a static cache, and trainers take torch_compile=True: compiled code "
    "that is wrong, or that is none, costs quality or speed without an error.",
    remedy=(
        "Look: TORCH_LOGS=output_code dgxcert validate --only COMPILE-CORRECT",
        "Delete what was compiled by other versions: rm -rf /tmp/torchinductor_$USER ~/.triton",
        "TRITON-KERNEL fails too: mend that first.",
        "Still wrong: use another version of torch, `make setup STACK=current`; until then do without torch.compile.",
    ),
    tier="standard",
    takes_s=30,
    budget_s=240,
)
def test_a_compiled_layer_computes_what_it_says(device, evidence):
    found = torch_compile.run(device, evidence)
    source = f"torch.compile of a decoder layer on {device.name}, nothing cached"
    kernels = evidence.record(
        "compiled kernels", found.kernels, unit="kernel", source=f"{source}, {found.graphs} graph"
    )
    error = evidence.record("compiled layer error", found.error, unit="relative", source=f"{source}, against fp64")
    assert kernels >= torch_compile.OWN_KERNELS
    assert error.within(numerics.product_tolerance("fp32"))
