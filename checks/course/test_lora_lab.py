"""Course LoRA lab: DistilBERT with the course's LoRA set-up learns its task under transformers' Trainer."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.course import distilbert_lab
from dgxcert.workloads.training import gradients


@requirement(
    "COURSE-LORA-LAB",
    title="The course's LoRA lab trains",
    why="The course's own lab fine-tunes DistilBERT by Trainer, with LoRA of rank 16 on q_lin and v_lin and a new "
    "classification head: a student must see it learn.",
    remedy=(
        "Run `make validate ONLY=ATTENTION-CORRECT,GRADIENTS-CORRECT` if gradients are wrong: their kernels err.",
        "Call `model.print_trainable_parameters()` and compare the losses that Trainer logs.",
        "Rebuild the model before training: one that was used for inference may have repacked its weights.",
        "In `make shell`, run `python -m pip check`: an error inside Trainer means that transformers, accelerate "
        "and peft disagree.",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=8,
    budget_s=300,
)
def test_the_lora_lab_of_the_course_trains(profile, machine, evidence):
    device = distilbert_lab.first_device(profile, machine)
    lab = distilbert_lab.train(device, profile.workloads.lab)
    source = f"{len(lab.losses)} steps of Trainer on {device.name}: {lab.before:.4f} first, {lab.after:.4f} last"
    wrong = evidence.record("tensors wrongly trained or frozen", len(lab.misplaced), source=lab.about(lab.misplaced))
    idle = evidence.record("tensors without a gradient", len(lab.no_gradient), source=lab.about(lab.no_gradient))
    changed = evidence.record("frozen tensors that changed", len(lab.changed), source=lab.about(lab.changed))
    angle, size = gradients.record(evidence, lab.gradients, "first two steps, without dropout")
    unit = distilbert_lab.OF_LOSS_BEFORE
    loss = evidence.record("loss at the end", lab.after / lab.before, unit=unit, source=source)
    assert wrong == 0
    assert idle == 0
    assert changed == 0
    assert angle <= profile.limit(f"training.direction.{lab.precision}")
    assert size.within(profile.limit(f"training.size.{lab.precision}"))
    assert loss.within(distilbert_lab.LOSS_FALLS)
