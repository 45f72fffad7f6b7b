"""What a process prints has no secret: warnings, tracebacks, and a secret that is printed in pieces."""

import subprocess
import sys

SECRET = "Xq7PlantedSecret99zz"


def printed(program: str) -> str:
    begin = "import sys, warnings; from dgxcert.redaction import output; output.install()\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + program],
        capture_output=True,
        text=True,
        env={"PATH": "", "LAB_TOKEN": SECRET, "PYTHONPATH": ":".join(sys.path)},
        check=False,
    )
    return done.stdout + done.stderr


def test_a_traceback_and_a_warning_have_no_secret() -> None:
    program = f"warnings.warn('{SECRET[:9]}' + '{SECRET[9:]}')\nraise ValueError('for {SECRET[:9]}' '{SECRET[9:]}')"
    shown = printed(program)
    assert "UserWarning: [secret]" in shown
    assert "ValueError: for [secret]" in shown
    assert SECRET not in shown


def test_pieces_of_a_line_are_redacted_together() -> None:
    assert printed(f"print('a {SECRET[:9]}', end=''); print('{SECRET[9:]} b')") == "a [secret] b\n"


def test_a_prompt_is_shown_before_its_line_ends() -> None:
    assert printed("sys.stdout.write('Write? [y/N]: '); sys.stdout.flush(); sys.stdout.detach") == "Write? [y/N]: "
