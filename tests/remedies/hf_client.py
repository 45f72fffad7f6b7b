"""The commands of an installed `hf`, as its own help lists them: `python tests/remedies/hf_client.py PATH/TO/hf`."""

import os
import re
import subprocess
import sys

GROUPS = ("auth", "cache")
"""Those of which a remedy names a command; the others are listed by their own names alone."""


def commands(hf: str) -> list[str]:
    """Every command, those of GROUPS as `cache rm`."""
    top = [name for name in _listed(hf) if name not in GROUPS]
    return sorted([*top, *(f"{group} {name}" for group in GROUPS for name in _listed(hf, group))])


def _listed(hf: str, *group: str) -> list[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    page = subprocess.run([hf, *group, "--help"], capture_output=True, text=True, check=True, env=environment).stdout
    if braces := re.search(r"^\s+\{([a-z,-]+)\}", page, re.MULTILINE):  # argparse, up to 0.36
        return braces.group(1).split(",")
    lines = "".join(re.findall(r"^(?:Main|Help) commands:\n((?:  .*\n)+)", page, re.MULTILINE))
    return re.findall(r"^  ([a-z-]+)", lines, re.MULTILINE) + re.findall(r"alias: ([a-z]+)", lines)


if __name__ == "__main__":
    sys.stdout.write(", ".join(commands(sys.argv[1])) + "\n")
