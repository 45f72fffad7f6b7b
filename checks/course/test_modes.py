"""Course modes: `eval()` and `train()` switch dropout and batch normalisation, and nothing else."""

from dgxcert import requirement
from dgxcert.workloads.course import train_eval

INSTALL_ANEW = "Install torch anew: make clean, then make setup; or use the container."


@requirement(
    "COURSE-DROPOUT",
    why="A model that drops values in eval() answers differently each time; one that drops none in train() overfits.",
    remedy=(
        'Try it: python -c "import torch; d = torch.nn.Dropout(0.5); print(d.eval()(torch.ones(4)))" must print ones.',
        "In a notebook: call model.eval() before inference and model.train() before training.",
        INSTALL_ANEW,
    ),
    takes_s=0.5,
    budget_s=180,
)
def test_dropout_drops_in_training_and_only_there(device, evidence):
    found = train_eval.dropout(device)
    source = f"{train_eval.ROWS * train_eval.WIDTH} values through nn.Dropout({train_eval.P}) on {device.name}"
    changed = evidence.record("values changed in eval()", found.changed, source=source)
    dropped = evidence.record("dropped in train()", found.dropped, unit="of values", source=source)
    scale = evidence.record("error of the scale in train()", found.scale_error, unit="relative", source=source)
    assert changed == 0
    assert dropped.within(train_eval.DROPPED)
    assert scale.within(train_eval.SCALED)


@requirement(
    "COURSE-NORMALISATION",
    why="Batch normalisation that keeps learning in eval() changes a model by using it; layer normalisation, which "
    "transformers use, must not care.",
    remedy=(
        'Try it: python -c "import torch; b = torch.nn.BatchNorm1d(2).eval(); b(torch.ones(4, 2)); '
        'print(b.running_mean)" must print zeros.',
        "In a notebook: call model.eval() before inference and model.train() before training.",
        INSTALL_ANEW,
    ),
    takes_s=0.5,
    budget_s=180,
)
def test_normalisation_learns_in_training_and_only_there(device, evidence):
    found = train_eval.normalisation(device)
    source = f"rows of shape {train_eval.ROWS} x {train_eval.WIDTH} on {device.name}, against fp64 by hand"
    moved = evidence.record("statistics moved by eval()", found.moved, source="running mean and variance, bit for bit")
    differs = evidence.record("values of LayerNorm that differ between modes", found.layer_differs, source=source)
    train = evidence.record("BatchNorm in train()", found.batch_train, unit="relative", source=source)
    evaluated = evidence.record("BatchNorm in eval()", found.batch_eval, unit="relative", source=source)
    running = evidence.record("running statistics", found.running, unit="relative", source=source)
    layer = evidence.record("LayerNorm", found.layer, unit="relative", source=source)
    assert moved == 0
    assert differs == 0
    assert train.within(train_eval.NORMALISED)
    assert evaluated.within(train_eval.NORMALISED)
    assert running.within(train_eval.NORMALISED)
    assert layer.within(train_eval.NORMALISED)
