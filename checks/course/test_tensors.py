"""Course tensors: random bf16 numbers live on the device, and `no_grad` builds no graph and keeps no activations."""

from dgxcert import requirement
from dgxcert.workloads.course import no_grad, random_tensor


@requirement(
    "COURSE-BF16-TENSOR",
    why="Every notebook begins with a tensor on the device: wrong numbers there spoil weights and dropout alike.",
    remedy=(
        "Try it: python -c \"import torch; print(torch.randn(9, device='cuda', dtype=torch.bfloat16))\"",
        "An error that names CUDA: see GPU-CUDA and BF16-CORRECT.",
        "Wrong moments or changed bits with another stack too (make setup STACK=current): open a case.",
    ),
    takes_s=1,
    budget_s=180,
)
def test_a_random_bf16_tensor_lives_on_the_device(device, evidence):
    found = random_tensor.draw(device)
    source = f"{random_tensor.VALUES} values of torch.randn on {device.name}, looked at in fp64"
    place = evidence.record("device of the tensor", found.device, source=source)
    kind = evidence.record("type of the tensor", found.dtype, source=source)
    mean = evidence.record("mean", found.mean, source=source)
    deviation = evidence.record("standard deviation", found.deviation, source=source)
    changed = evidence.record("values that moving changed", found.changed, source="to the CPU and back, bit for bit")
    assert place == device.name
    assert kind == "bfloat16"
    assert mean.within(random_tensor.MEAN)
    assert deviation.within(random_tensor.DEVIATION)
    assert changed == 0


@requirement(
    "COURSE-NO-GRAD",
    why="Inference inside torch.no_grad() must not keep activations: with them, a model that fits runs out of memory.",
    remedy=(
        'Try it: python -c "import torch; w = torch.ones(2, requires_grad=True); torch.set_grad_enabled(False); '
        'print((w * 2).grad_fn)" must print None.',
        "Look for what replaces parts of torch: python -m pip check; python -c 'import torch; print(torch.__file__)'",
        "Install torch anew: make clean, then make setup; or use the container.",
    ),
    takes_s=0.5,
    budget_s=180,
)
def test_no_grad_builds_no_graph_and_keeps_no_activations(device, evidence):
    found = no_grad.compare(device)
    source = f"{found.how} on {device.name}, without input and output"
    graph = evidence.record("graph without no_grad", found.recorded.graph, source="grad_fn of the output")
    free = evidence.record("no graph under no_grad", not found.free.graph, source="grad_fn of the output")
    asks_not = not found.free.requires_grad
    quiet = evidence.record("output asks for no gradient", asks_not, source="requires_grad under no_grad")
    share = no_grad.OF_ARITHMETIC
    kept = evidence.record("activations kept", found.recorded.of_arithmetic, unit=share, source=source)
    without = evidence.record("kept under no_grad", found.free.of_arithmetic, unit=share, source=source)
    assert graph.holds()
    assert kept.within(no_grad.KEPT)
    assert free.holds()
    assert quiet.holds()
    assert without.within(no_grad.KEPT_WITHOUT)
