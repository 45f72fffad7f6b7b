"""A command on a terminal of its own, at which passwords are typed, Ctrl-C is pressed, or which kill -9 ends."""

import contextlib
import os
import pty
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

WAIT_S = 400.0


class Terminal:
    """A command at work. `said` is what it has shown so far."""

    def __init__(self, command: Sequence[str], folder: Path, typed: Mapping[str, str] | None = None) -> None:
        """`typed` answers prompts: what is typed once a prompt has been shown."""
        self.said = ""
        self._waiting = dict(typed or {})
        self._code = folder / "exit-code"
        self._code.unlink(missing_ok=True)
        # The shell leads the session, as a user's does: whatever ends the command hangs nothing up. A trap, unlike
        # ignoring, is not handed on.
        script = f"trap : INT; \"$@\"; echo $? >'{self._code}.new'; mv '{self._code}.new' '{self._code}'"
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvp("sh", ["sh", "-c", script, "sh", *command])
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, limit_s: float = WAIT_S) -> int:
        """The exit code; negative for a signal. Raises TimeoutError with what was said."""
        self.wait_for_end(limit_s)
        code = int(self._code.read_text(encoding="ascii"))
        return 128 - code if code > 128 else code

    def wait_for_end(self, limit_s: float) -> None:
        """Wait until it has ended. Raises TimeoutError with what was said."""
        deadline = time.monotonic() + limit_s
        while not self._code.exists():
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"it works for more than {limit_s} s, and said: {self.said[-3000:]}")
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._screen, b"\x03")

    def kill(self) -> None:
        """End the command with SIGKILL, and nothing else."""
        os.kill(self.child, signal.SIGKILL)

    def close(self) -> None:
        """End whatever is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self._screen)

    @property
    def child(self) -> int:
        """The process of the command. Raises ProcessLookupError with what it said where it has ended."""
        found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
        if not found:
            raise ProcessLookupError(f"it has ended, and said: {self.said[-3000:]}")
        return int(found[0])

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._screen, 65536)
            except OSError:  # its last process has ended
                return
            if not data:
                return
            self.said += data.decode(errors="replace")
            for prompt in [prompt for prompt in self._waiting if prompt in self.said]:
                os.write(self._screen, f"{self._waiting.pop(prompt)}\n".encode())
