"""A finished command for tests of what a program printed: `completed("no such option", returncode=2)`."""

from dgxcert.command import Completed


def completed(stdout: str = "", stderr: str = "", returncode: int | None = 0) -> Completed:
    """The command as dgxcert.command.run returns it; `returncode` None: it was killed at its time limit."""
    return Completed(("program",), returncode, stdout, stderr)
