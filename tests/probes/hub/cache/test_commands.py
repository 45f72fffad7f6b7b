"""Commands: what is printed about removing models exists in the installed client."""

import re
import subprocess
import sys

import pytest

from dgxcert.probes.hub import settings
from dgxcert.probes.hub.cache import commands


def test_commands_are_those_of_the_installed_client() -> None:
    pytest.importorskip("huggingface_hub", reason="needs the stack: make setup")
    shown = " ".join(commands.for_version(settings.version("huggingface-hub")))
    program = "import sys; sys.argv = ['hf', 'cache', '--help']; from huggingface_hub.cli.hf import main; main()"
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stdout
    names = re.findall(r"hf cache (\w+)", shown)
    assert len(names) >= 2
    assert [name for name in names if not re.search(rf"\b{name}\b", listed)] == []


@pytest.mark.parametrize(
    ("version", "removal"),
    [
        ("0.30.2", "huggingface-cli delete-cache"),
        ("0.33.5", "huggingface-cli delete-cache"),
        ("0.34.0", "hf cache delete"),
        ("0.36.2", "hf cache delete"),
        ("1.0.0", "hf cache rm model/NAME"),
        ("2.4.0", "hf cache rm model/NAME"),
        ("", "(stack current)"),
    ],
)
def test_commands_are_chosen_by_version(version: str, removal: str) -> None:
    assert removal in commands.for_version(version)[1]
