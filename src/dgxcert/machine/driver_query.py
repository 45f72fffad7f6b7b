"""The driver query: a question to NVIDIA's driver, asked in a process of its own and within a time limit.

An NVML call of a sick driver can hang or crash, and Python can interrupt neither. So each question is asked by a
process of its own (`dgxcert.probes.gpu.driver_answers`), which writes the name of each NVML call to standard error
before making it: the last name is the call that did not return.
"""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from dgxcert import command
from dgxcert.machine import nvml_errors
from dgxcert.machine.nvml_errors import NOT_SUPPORTED, RESTART
from dgxcert.outcome import Inconclusive

PROGRAM = "dgxcert.probes.gpu.driver_answers"
"""A module of the probes, started by its name: this package may not import it."""

FROM_OUTSIDE = (
    "Run it by `dgxcert validate`, which looks at the GPUs from outside of the container: make validate",
    "Start a container of your own with the processes of its host in view: docker run --pid=host",
)
"""What to do where a container does not see who else is on a GPU."""

_unanswered: dict[tuple[str, ...], str] = {}
"""Questions on which the driver hung or crashed in this process, and how: asked again, they fail at once."""


@dataclass(frozen=True)
class Answers:
    """The driver's answers about the fields of one GPU, and its refusals: NVML's code and message by field.

    >>> answers = Answers(0, {"persistence": True}, {"mig": {"code": 3, "says": "Not Supported"}})
    >>> answers["persistence"]
    True
    >>> answers.if_supported("mig") is None
    True
    """

    index: int
    answered: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The value of a field. Raises Inconclusive with NVML's message and its remedy where it was refused."""
        if name in self.answered:
            return self.answered[name]
        refused = self.refused.get(name, {"code": NOT_SUPPORTED, "says": "no answer"})
        problem = f"the driver does not report {name.replace('_', ' ')} of GPU {self.index}: "
        raise refusal(problem, refused, self.index)

    def if_supported(self, name: str) -> Any:
        """The value of a field, or None where the driver answers Not Supported. Any other error is Inconclusive."""
        return None if self.refused.get(name, {}).get("code") == NOT_SUPPORTED else self[name]

    def if_known(self, name: str) -> Any:
        """The value of a field, or None where GPU or driver has no such thing. Any other error is Inconclusive.

        >>> Answers(0, {}, {"fabric": {"code": 13, "says": "Function Not Found"}}).if_known("fabric") is None
        True
        """
        return None if self.refused.get(name, {}).get("code") in nvml_errors.ABSENT else self.if_supported(name)


def refusal(problem: str, refused: dict[str, Any], index: int) -> Inconclusive:
    """What to raise where NVML refused an answer: its message, what that means, and the error's own remedy.

    >>> refusal("no clock: ", {"code": 16, "says": "GPU requires reset"}, 0).problem
    'no clock: GPU requires reset (after a fault the GPU works only again when it has been reset)'
    """
    if "says" in refused and refused.get("code") is None:  # not the driver's own refusal
        return Inconclusive(f"{problem}{refused['says']}", *FROM_OUTSIDE)
    error = nvml_errors.find(refused.get("code"))
    return Inconclusive(f"{problem}{refused.get('says', 'no answer')} ({error.meaning})", *error.remedy_for(index))


def ask(*question: str, timeout_s: float, remember: bool = True) -> dict[str, Any]:
    """The JSON answer to one question: `ask("gpu", "0", "uuid", timeout_s=30)`.

    Raises Inconclusive where the driver hangs or crashes, naming the NVML call, and where the process itself fails.
    With `remember`, a question on which the driver hung or crashed is not waited for a second time.
    """
    if remember and question in _unanswered:
        raise Inconclusive(_unanswered[question], *RESTART)
    completed = command.run([sys.executable, "-P", "-m", PROGRAM, *question], timeout_s=timeout_s)
    if completed.returncode == 0:
        return dict(json.loads(completed.stdout))
    calls = [line for line in completed.stderr.splitlines() if line.startswith("nvml")]
    call = calls[-1] if calls else "the first call"
    if completed.timed_out:
        problem = f"the NVIDIA driver did not answer within {timeout_s:.0f} s ({call})"
    elif completed.returncode is not None and completed.returncode < 0:
        problem = f"the NVIDIA driver crashes the calling process, by signal {-completed.returncode} ({call})"
    else:  # Python itself failed, as with a missing package: this is about dgxcert, and quick to try again
        raise Inconclusive(f"the driver could not be queried: {completed.complaint}", "Reinstall dgxcert: make setup")
    if remember:
        _unanswered[question] = problem  # the text only: an exception would keep its frames, and GPU memory with them
    raise Inconclusive(problem, *RESTART)


def ask_gpu(index: int, *fields: str, timeout_s: float, remember: bool = True) -> Answers:
    """Fields of `driver_answers.FIELDS` of one GPU. Raises Inconclusive where the driver does not answer for it."""
    answer = ask("gpu", str(index), *fields, timeout_s=timeout_s, remember=remember)
    if "answered" not in answer:
        raise refusal(f"the driver does not answer for GPU {index}: ", answer, index)
    return Answers(index, answer["answered"], answer["refused"])
