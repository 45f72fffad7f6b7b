"""A small clone of a suite, with one commit."""

import subprocess
from pathlib import Path

FILES = {
    "src/dgxcert/module.py": "LIMIT = 1\n",
    "checks/test_one.py": "def test_one(): ...\n",
    "benchmarks/test_two.py": "def test_two(): ...\n",
    "container/Dockerfile": "FROM base\n",
    "container/stacks/course.lock": "torch==2.9\n",
    "compose.yaml": "services: {}\n",
    "pyproject.toml": "[project]\n",
    "docs/page.md": "words\r\n",
    ".github/workflow.yaml": "on: push\n",
    ".gitignore": "__pycache__/\n",
}


def clone(folder: Path) -> Path:
    """Make the clone; returns its folder."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")
    git(folder, "init", "-q")
    commit(folder, "the first commit\r\n\r\nwritten on another system: größer")
    return folder


def commit(folder: Path, message: str) -> None:
    """Commit everything that git does not ignore."""
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--cleanup=verbatim", "-m", message)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder."""
    done = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()
