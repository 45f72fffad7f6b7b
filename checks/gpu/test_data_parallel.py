"""Data parallelism: training on several GPUs computes what one GPU would, and all of them end with the same weights."""

from dgxcert import requirement
from dgxcert.probes.stack import base_image
from dgxcert.workloads.training import gradients
from dgxcert.workloads.training.data_parallel import comparison


@requirement(
    "DATA-PARALLEL-CORRECT",
    title="Training on all GPUs together computes what one GPU computes",
    why="Trainer and accelerate train on several GPUs by DistributedDataParallel: where gradients are exchanged "
    "wrongly, each GPU trains a model of its own, and the loss still falls.",
    remedy=(
        "Read which rank differs, and in what, in the evidence of this requirement.",
        "Run `make validate ONLY=COLLECTIVES-CORRECT`: it tells whether exchanging numbers is wrong, or only training.",
        "Run `make validate ONLY=GRADIENTS-CORRECT,TRAINING-REPEATS` if one GPU errs on its own rows.",
        *base_image.OTHER_TORCH,
        "Open a case with the run folder if it is wrong in every version.",
    ),
    tier="standard",
    takes_s=12,
    budget_s=240,
)
def test_training_together_computes_what_one_device_computes(devices, profile, evidence):
    found = comparison.run(devices)
    how = f"{found.steps} steps of {found.accumulated} backward passes in fp32 on {len(devices)} ranks"
    rows, first, exchanged, last = found.foreign_rows, found.start, found.gradients, found.end
    foreign = evidence.record("ranks with rows of another", rows.count, unit=rows.unit, source=rows.where)
    loss, later = (
        evidence.record(
            f"difference of a rank's {which} loss", apart.difference, unit="relative", source=f"{apart.where}; {how}"
        )
        for which, apart in (("first", found.first_loss), ("later", found.later_loss))
    )
    start = evidence.record("weights that differ at the start", first.count, unit=first.unit, source=first.where)
    unlike = evidence.record(
        "gradients that differ between ranks", exchanged.count, unit=exchanged.unit, source=exchanged.where
    )
    unused = evidence.record(
        "ranks with a gradient of an unused parameter",
        len(found.with_unused),
        unit=f"of {len(devices)}",
        source=f"find_unused_parameters; {', '.join(found.with_unused) or how}",
    )
    angle, size = gradients.record(evidence, found.exact, how, of="exchanged gradients")
    turn, length = gradients.record(evidence, found.update, how, of="updates")
    end = evidence.record("weights that differ at the end", last.count, unit=last.unit, source=last.where)
    assert foreign == 0
    assert start == 0
    assert loss.within(comparison.LOSS)
    assert unlike == 0
    assert unused == 0
    assert size.within(profile.limit("training.size.fp32"))
    assert angle <= profile.limit("training.direction.fp32")
    assert end == 0
    assert length.within(profile.limit("training.size.fp32"))
    assert turn <= profile.limit("training.direction.fp32")
    assert later.within(comparison.LOSS)
