"""Real checkpoints: models from the Hub, at pinned revisions, are what they were and say what they are known to say."""

import pytest

from dgxcert import requirement
from dgxcert.workloads.models import checkpoint


@requirement(
    "CHECKPOINT-FILES",
    why="A model whose file was changed on the way, or in the cache, answers wrongly without an error.",
    remedy=(
        "Run `dgxcert cache` and read which file is not as pinned.",
        "Remove that model's folder from the cache, then fetch it again with the command that `dgxcert cache` names.",
        "Wrong again: fetch it on another network and compare; something between changes files.",
    ),
    tier="standard",
    takes_s=60,
    budget_s=1800,
    real_weights=True,
)
@pytest.mark.parametrize("repo", checkpoint.PINNED)
def test_the_files_of_a_real_checkpoint_are_as_pinned(repo, evidence):
    kept = checkpoint.fetched(repo)
    as_pinned = evidence.record("every file as pinned", kept.whole, source=kept.words)
    assert as_pinned.holds()


@requirement(
    "CHECKPOINT-ANSWERS",
    why="The whole way from a file on the Hub to a generated word is what a student's first notebook goes.",
    remedy=(
        "See CHECKPOINT-FILES first: other weights give other words.",
        "Compare with the same model on the CPU; see MATMUL-CORRECT and ATTENTION-CORRECT for the device.",
        "Always other words: install the stack as it is pinned: make setup, or use the container.",
    ),
    tier="standard",
    takes_s=60,
    budget_s=1800,
    real_weights=True,
)
@pytest.mark.parametrize("repo", checkpoint.ANSWERING)
def test_a_real_checkpoint_answers_as_it_is_known_to(repo, device, evidence):
    answer = checkpoint.answer(repo, device)
    said = evidence.record("tokens", answer.said, source=answer.how)
    assert said == answer.known
