"""Course training: a distilled student is faster than its teacher and learns from it, and the LoRA lab trains."""

from dgxcert import requirement
from dgxcert.workloads.course import distilbert_lab, distillation

INSTALL_ANEW = "Install the stack as it is pinned: make setup; or use the container."


@requirement(
    "COURSE-STUDENT-SPEED",
    why="Distillation buys speed: DistilBERT has half of BERT's layers and must answer in about half the time.",
    remedy=(
        "See who else works on this machine: nvidia-smi; top. Then run it again.",
        "A GPU that waits for its CPU shows no gain: see GPU-CLOCK-UNDER-LOAD and DECODE-SPEED in the same run.",
        INSTALL_ANEW,
    ),
    tier="standard",
    takes_s=3,
    budget_s=180,
)
def test_the_smaller_student_is_faster_than_its_teacher(device, profile, evidence):
    found = distillation.speeds(device, profile.workloads.distillation)
    times = f"{1e3 * found.teacher_s:.1f} ms of the teacher against {1e3 * found.student_s:.1f} ms"
    source = f"median of {len(found.ratios)} rounds, turn by turn on {device.name}; {times}"
    found.require_agreement()
    ratio = evidence.record("speed of the student", found.ratio, unit=distillation.OF_TEACHER, source=source)
    assert ratio.within(distillation.FASTER)


@requirement(
    "COURSE-DISTILLATION",
    why="A student learns from its teacher's softened probabilities: a step that does not lower their distance, or "
    "that trains the teacher, distils nothing.",
    remedy=(
        "Look: print the loss before and after optimizer.step() on the same batch; it must fall.",
        "In a notebook: run the teacher under torch.no_grad(), and give the optimizer the student's parameters.",
        INSTALL_ANEW,
    ),
    tier="standard",
    takes_s=2,
    budget_s=180,
)
def test_one_step_of_distillation_brings_the_student_closer(device, profile, evidence):
    found = distillation.step(device, profile.workloads.distillation)
    source = f"KL divergence at temperature 2 on {device.name}: {found.before:.4f} before, {found.after:.4f} after"
    unit = distillation.OF_LOSS_BEFORE
    fall = evidence.record("loss after one step", found.after / found.before, unit=unit, source=source)
    teacher = evidence.record("teacher's weights with a gradient", found.teacher_gradients, source="after backward()")
    assert fall.within(distillation.LOSS_FALLS)
    assert teacher == 0


@requirement(
    "COURSE-LORA-LAB",
    why="This is the course's own lab: DistilBERT with LoRA on q_lin and v_lin, rank 16, and a fresh head, by Trainer.",
    remedy=(
        "Look: model.print_trainable_parameters() and the loss that Trainer logs.",
        "No gradient: build the model afresh before training; one that has inferred may have repacked weights.",
        "Trainer itself fails: the versions of transformers, accelerate and peft disagree; run `pip check`.",
        INSTALL_ANEW,
    ),
    tier="standard",
    takes_s=6,
    budget_s=300,
)
def test_the_courses_lora_lab_trains(profile, machine, evidence):
    device = distilbert_lab.first_device(profile, machine)
    found = distilbert_lab.train(device, profile.workloads.lab)
    source = f"{len(found.losses)} steps of Trainer on {device.name}: {found.before:.4f} first, {found.after:.4f} last"
    strays = evidence.record("tensors wrongly trained or frozen", len(found.strays), source=found.about(found.strays))
    still = evidence.record("tensors without a gradient", len(found.still), source=found.about(found.still))
    changed = evidence.record("frozen tensors that changed", len(found.changed), source=found.about(found.changed))
    unit = distilbert_lab.OF_LOSS_BEFORE
    fall = evidence.record("loss at the end", found.after / found.before, unit=unit, source=source)
    assert strays == 0
    assert still == 0
    assert changed == 0
    assert fall.within(distilbert_lab.LOSS_FALLS)
