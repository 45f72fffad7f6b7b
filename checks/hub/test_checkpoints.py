"""Real checkpoints: models from the Hub, at pinned revisions, have the pinned bytes and generate the known tokens."""

import pytest

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.models import checkpoint


@requirement(
    "CHECKPOINT-FILES",
    title="The files of a real checkpoint have the pinned hashes",
    why="A model file that was changed on the network, or in the cache, gives wrong answers without an error.",
    remedy=(
        "Run `make cache` and read which file differs.",
        "Delete that model's folder in the cache, then download it with the command that `make cache` prints.",
        "If it differs again, download it on another network and compare: something between changes files.",
    ),
    tier="standard",
    takes_s=60,
    budget_s=1800,
    real_weights=True,
)
@pytest.mark.parametrize("repo", checkpoint.PINNED)
def test_files_of_a_real_checkpoint_are_as_pinned(repo, evidence):
    cached = checkpoint.fetched(repo)
    as_pinned = evidence.record("every file as pinned", cached.complete, source=cached.summary)
    assert as_pinned.holds()


@requirement(
    "CHECKPOINT-ANSWERS",
    title="A real checkpoint generates the known tokens",
    why="This is the path of a student's first notebook, from a file on the Hub to a generated word.",
    remedy=(
        "Read the result of CHECKPOINT-FILES first: other weights generate other tokens.",
        "Compare with MATMUL-CORRECT and ATTENTION-CORRECT, which test the same operations on this device.",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=60,
    budget_s=1800,
    real_weights=True,
)
@pytest.mark.parametrize("repo", checkpoint.ANSWERING)
def test_a_real_checkpoint_generates_the_known_tokens(repo, device, evidence):
    answer = checkpoint.answer(repo, device)
    tokens = evidence.record("tokens", answer.tokens, source=answer.source)
    assert tokens == answer.known
