"""What every test may use: pytest's own pytester, which runs small suites of requirements, and torch on one thread."""

from collections.abc import Iterator

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two threads of torch that wait for each other on a busy machine take ten times as long as one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
