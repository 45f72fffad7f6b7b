"""Course train and eval: `train()` and `eval()` switch dropout and batch normalisation, and nothing else."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.course import train_eval


@requirement(
    "COURSE-DROPOUT",
    title="Dropout is active in train() and off in eval()",
    why="A model that drops values in eval() gives a different answer each time; a fine-tuning that drops none in "
    "train() overfits.",
    remedy=(
        'In `make shell`, run `python -c "import torch; print(torch.nn.Dropout(0.5).eval()(torch.ones(4)))"`: it '
        "must print ones.",
        "Call `model.eval()` before inference and `model.train()` before training in the notebook.",
        *lockfile.RESTORE,
    ),
    budget_s=180,
)
def test_dropout_is_active_only_in_training(device, evidence):
    result = train_eval.dropout(device)
    source = f"{train_eval.ROWS * train_eval.WIDTH} values through nn.Dropout({train_eval.P}) on {device.name}"
    changed = evidence.record("values changed in eval()", result.changed, source=source)
    dropped = evidence.record("dropped in train()", result.dropped, unit="of values", source=source)
    scale = evidence.record("error of the scale in train()", result.scale_error, unit="relative", source=source)
    assert changed == 0
    assert dropped.within(train_eval.DROPPED)
    assert scale.within(train_eval.SCALED)


@requirement(
    "COURSE-NORMALISATION",
    title="Normalisation follows train() and eval()",
    why="BatchNorm that updates its statistics in eval() changes a model by using it; LayerNorm, which transformer "
    "models use, must give the same in both modes.",
    remedy=(
        'In `make shell`, run `python -c "import torch; b = torch.nn.BatchNorm1d(2).eval(); b(torch.ones(4, 2)); '
        'print(b.running_mean)"`: it must print zeros.',
        "Call `model.eval()` before inference and `model.train()` before training in the notebook.",
        *lockfile.RESTORE,
    ),
    budget_s=180,
)
def test_normalisation_updates_its_statistics_only_in_training(device, evidence):
    result = train_eval.normalisation(device)
    source = f"rows of shape {train_eval.ROWS} x {train_eval.WIDTH} on {device.name}, compared with fp64"
    bits = "running mean and variance, bit for bit"
    changed = evidence.record("statistics changed by eval()", result.eval_changes, source=bits)
    differing = evidence.record("LayerNorm values that differ between modes", result.layer_differs, source=source)
    train = evidence.record("BatchNorm in train()", result.batch_train, unit="relative", source=source)
    evaluated = evidence.record("BatchNorm in eval()", result.batch_eval, unit="relative", source=source)
    running = evidence.record("running statistics", result.running, unit="relative", source=source)
    layer = evidence.record("LayerNorm", result.layer, unit="relative", source=source)
    assert changed == 0
    assert differing == 0
    assert train.within(train_eval.NORMALISED)
    assert evaluated.within(train_eval.NORMALISED)
    assert running.within(train_eval.NORMALISED)
    assert layer.within(train_eval.NORMALISED)
