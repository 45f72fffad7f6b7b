"""Course distillation: a student with half the layers is faster than its teacher, and learns from it."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.course import distillation
from dgxcert.workloads.training import gradients


@requirement(
    "COURSE-STUDENT-SPEED",
    title="A student with half the layers is faster than its teacher",
    why="Distillation buys speed: DistilBERT has half of BERT's layers and must answer in about half the time.",
    remedy=(
        "Run `nvidia-smi` and `top` to find other processes, end them, and run the check again.",
        "Run `make validate ONLY=GPU-CLOCK-UNDER-LOAD,DECODE-SPEED`: a GPU that waits for its CPU gains nothing "
        "from a smaller model.",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=3,
    budget_s=180,
)
def test_the_student_is_faster_than_its_teacher(device, profile, evidence):
    speeds = distillation.speeds(device, profile.workloads.distillation)
    times = f"teacher {1e3 * speeds.teacher_s:.1f} ms, student {1e3 * speeds.student_s:.1f} ms"
    source = f"median of {len(speeds.ratios)} rounds, alternating on {device.name}; {times}"
    speeds.require_agreement()
    ratio = evidence.record("speed of the student", speeds.ratio, unit=distillation.OF_TEACHER, source=source)
    assert ratio.within(distillation.FASTER)


@requirement(
    "COURSE-DISTILLATION",
    title="One step of distillation brings the student closer to its teacher",
    why="A student learns from its teacher's softened probabilities: a training step that does not lower the KL "
    "divergence, or that trains the teacher, distils nothing.",
    remedy=(
        "Run `make validate ONLY=ATTENTION-CORRECT,GRADIENTS-CORRECT` if gradients are wrong: their kernels err.",
        "Print the loss before and after optimizer.step() on the same batch: it must fall.",
        "Run the teacher under torch.no_grad() in the notebook, and give the optimizer the student's parameters only.",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=2,
    budget_s=180,
)
def test_one_step_of_distillation_brings_the_student_closer(device, profile, evidence):
    step = distillation.step(device, profile.workloads.distillation)
    source = f"KL divergence at temperature 2 on {device.name}: {step.before:.4f} before, {step.after:.4f} after"
    unit = distillation.OF_LOSS_BEFORE
    loss = evidence.record("loss after one step", step.after / step.before, unit=unit, source=source)
    taught = evidence.record("teacher weights with a gradient", step.teacher_gradients, source="after backward()")
    angle, size = gradients.record(evidence, step.student_gradients)
    assert loss.within(distillation.LOSS_FALLS)
    assert taught == 0
    assert angle <= profile.limit("training.direction.fp32")
    assert size.within(profile.limit("training.size.fp32"))
