"""An action of Ansible's: sends files to a host through the connection of its tasks, as whoever its tasks work as.

Ansible's own `copy` would write as who logs in, and hand over to another user by an ACL that many hosts do not have.
Here every piece goes to the standard input of `cat`, so that nothing but the file is left. A file that is there already
(`unless`) is not sent again; one that was sent in part goes on where it stopped.

Ansible loads it by its path, in its own processes: it imports nothing of dgxcert.
"""

import os
import shlex
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PIECE = 8 * 1024 * 1024
"""Bytes at a time: what a worker of Ansible's holds in memory."""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """`send: {files: [{source, target, unless}]}`; targets may begin with `~`."""

    _requires_connection = True
    TRANSFERS_FILES = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Send all files; says how many bytes went over the network."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        sent = sum(self._send(each) for each in self._task.args["files"])
        return {**result, "changed": sent > 0, "rc": 0, "stdout": f"dgxcert sent={sent}"}

    def _send(self, file: dict[str, str]) -> int:
        target, unless = _quoted(file["target"]), _quoted(file.get("unless") or file["target"])
        part, size = f"{target}.part", os.path.getsize(file["source"])
        has = f"mkdir -p {_parent(target)} && {{ [ ! -e {part} ] || wc -c <{part}; }}"
        answer = [*self._do(f"umask 077; if [ -e {unless} ]; then echo there; else {has}; fi").split(), "0"][0]
        if answer == "there":
            return 0
        begin = int(answer) if answer.isdigit() and int(answer) <= size else 0
        if begin == 0:
            self._do(f"umask 077; : >{part}")
        with open(file["source"], "rb") as source:
            source.seek(begin)
            while piece := source.read(PIECE):
                self._do(f"umask 077; cat >>{part}", piece)
        self._do(f"mv -f {part} {target}")
        return size - begin

    def _do(self, line: str, given: bytes | None = None) -> str:
        done = self._low_level_execute_command(line, in_data=given, sudoable=True)
        if done["rc"] != 0:
            said = (done.get("stderr") or done.get("stdout") or "it said nothing").strip()
            raise AnsibleActionFail(said[-500:])
        return str(done["stdout"])


def _quoted(path: str) -> str:
    """A path for the shell, which replaces `~` at its beginning alone."""
    return '"$HOME"' + shlex.quote(path[1:]) if path.startswith("~/") else shlex.quote(path)


def _parent(quoted: str) -> str:
    return f'"$(dirname {quoted})"'
