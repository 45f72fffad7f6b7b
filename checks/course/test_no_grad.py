"""Course no_grad: under `torch.no_grad()` a forward pass builds no graph and keeps no activations."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.course import no_grad


@requirement(
    "COURSE-NO-GRAD",
    title="torch.no_grad() builds no graph and keeps no activations",
    why="Inference inside torch.no_grad() must not keep activations: with them, a model that fits runs out of memory.",
    remedy=(
        'In `make shell`, run `python -c "import torch; w = torch.ones(2, requires_grad=True); '
        "torch.set_grad_enabled(False); "
        'print((w * 2).grad_fn)"`: it must print None.',
        "In `make shell`, run `python -m pip check` and `python -c 'import torch; print(torch.__file__)'` to find "
        "a package that "
        "replaces parts of torch.",
        *lockfile.RESTORE,
    ),
    budget_s=180,
)
def test_no_grad_builds_no_graph_and_keeps_no_activations(device, evidence):
    passes = no_grad.compare(device)
    source = f"{passes.method} on {device.name}, without input and output"
    unit, output = no_grad.OF_ARITHMETIC, "requires_grad of the output under no_grad"
    graph = evidence.record("graph without no_grad", passes.with_grad.graph, source="grad_fn of the output")
    kept = evidence.record("activations kept", passes.with_grad.kept_share, unit=unit, source=source)
    no_graph = evidence.record("no graph under no_grad", not passes.no_grad.graph, source="grad_fn of the output")
    detached = evidence.record("output requires no gradient", not passes.no_grad.requires_grad, source=output)
    rest = evidence.record("activations kept under no_grad", passes.no_grad.kept_share, unit=unit, source=source)
    assert graph.holds()
    assert kept.within(no_grad.KEPT)
    assert no_graph.holds()
    assert detached.holds()
    assert rest.within(no_grad.KEPT_WITHOUT)
