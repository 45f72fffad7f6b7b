"""Requirements written inside a test, run under the plugin in the test's own process."""

import re

import pytest

from dgxcert.machine.identity import Machine
from dgxcert.runner import session

MACHINE = Machine(hostname="here", kernel="6.14", architecture="aarch64", cores=20)

PREAMBLE = """
import pytest
from dgxcert import requirement
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Inconclusive, Wrong

ABOUT = {"title": "Training runs", "why": "training stops", "remedy": ("Look at it.", "Fix it.")}
FAST = Limit(name="decode.fp32", min=13, unit="token/s", source="85 % of 273 GB/s")

def speed(evidence, value=20.0):
    return evidence.record("decode", value, unit="token/s", source="10 rounds of 128 tokens")
"""


class Inline:
    """Runs code under the cpu profile, on an invented machine."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        monkeypatch.setattr(session, "read_machine", lambda: MACHINE)

    def run(self, code: str, *options: str) -> pytest.RunResult:
        """Run a file of requirements."""
        self._pytester.makepyfile(test_suite=PREAMBLE + code)
        return self._pytester.runpytest_inprocess("-p", "no:cacheprovider", "--profile", "cpu", *options)

    def judge(self, body: str, *options: str, marks: str = "", arguments: str = "evidence") -> pytest.RunResult:
        """Run the body of one requirement, `X`."""
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        return self.run(f"{marks}\n@requirement('X', **ABOUT)\ndef test_x({arguments}):\n{lines}", *options)


def counts(result: pytest.RunResult) -> dict[str, int]:
    """The five counts of the last line that the plugin prints, without the zeros."""
    (line,) = (line for line in result.outlines if line.startswith("dgxcert, profile"))
    numbers = {name: int(number) for number, name in re.findall(r"(\d+) ([a-z ]+?)(?:,|$)", line)}
    assert list(numbers) == ["passed", "failed", "inconclusive", "not applicable", "not run"]
    return {name: number for name, number in numbers.items() if number}


def ended(result: pytest.RunResult, outcome: str) -> bool:
    """Whether the one requirement ended so, and the exit code agrees."""
    assert counts(result) == {outcome: 1}
    return result.ret == (pytest.ExitCode.OK if outcome == "passed" else pytest.ExitCode.TESTS_FAILED)
