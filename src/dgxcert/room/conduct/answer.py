"""What the agent on a host answers: one JSON line for each question."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dgxcert.files import untrusted

LONGEST_LINE = 16_384


class Answer(BaseModel):
    """How a validation is doing on its host."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)  # it is what a host says

    state: Literal["none", "works", "ended", "died", "stopped"]
    exit: int | None = None
    done: int = Field(default=0, ge=0)
    total: int = Field(default=0, ge=0)
    current: str | None = Field(default=None, max_length=200)
    left_s: float | None = Field(default=None, ge=0)
    run: str | None = None
    said: str = ""
    """The last line of its output, or the error."""


def parse(stdout: str) -> Answer | None:
    r"""The answer in the output of a task, which may begin with what a log-in prints; None where there is none.

    >>> parse('Welcome to DGX OS\n{"state": "works", "exit": null, "done": 5, "total": 41}').done
    5
    >>> parse("Welcome to DGX OS") is None
    True
    """
    for line in reversed(stdout.splitlines()):
        if line.startswith("{") and len(line) <= LONGEST_LINE:
            try:
                return Answer.model_validate(untrusted.parse_json(line))
            except (ValueError, ValidationError):
                continue
    return None
