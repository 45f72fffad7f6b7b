"""Every batch is the same amount of work, padding and packing keep the labels right, and two classes share no token."""

import pytest

pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.workloads.training import lora_batches

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here


def test_every_batch_has_rows_of_the_same_different_lengths() -> None:
    for batches in (lora_batches.prose(4, 24, 8192), lora_batches.classified(4, 24, 512)):
        assert {tuple(len(row.ids) for row in batch) for batch in batches} == {(24, 20, 16, 12)}
        assert len({row.ids for batch in batches for row in batch}) == 16, "no row occurs twice"


def test_padding_is_masked_and_ignored() -> None:
    inputs = lora_batches.padded(lora_batches.prose(2, 24, 8192)[0])
    assert inputs["input_ids"].shape == (2, 24)
    assert int((inputs["labels"] == lora_batches.IGNORED).sum()) == 12 == int((inputs["attention_mask"] == 0).sum())


def test_no_packed_row_predicts_the_first_token_of_the_next() -> None:
    inputs = lora_batches.packed(lora_batches.prose(2, 24, 8192)[0])
    assert inputs["input_ids"].shape == (1, 36)
    assert int((inputs["labels"] == lora_batches.IGNORED).sum()) == 2


def test_the_classes_share_no_token() -> None:
    batch = lora_batches.classified(6, 40, 512)[0]
    tokens = [{token for row in batch if row.label == label for token in row.ids} for label in (0, 1)]
    assert not tokens[0] & tokens[1]
