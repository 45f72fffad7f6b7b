"""Training text is packed into rows of one length."""

import pytest

from dgxcert.workloads.models import text

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch are no finding


def test_rows_are_packed_to_their_length_and_read_back_as_prose() -> None:
    rows = text.rows(48, 8192)
    assert all(len(ids) == 48 for ids in rows["input_ids"])
    assert "A machine that trains language models" in text.tokenizer().decode(rows[0]["input_ids"])
