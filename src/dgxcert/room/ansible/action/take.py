"""An action of Ansible's: takes from a host what its agent packed, piece by piece, and compares its hash.

Ansible's own `fetch` needs a second channel, or holds the whole file in memory where tasks work as another user.

Ansible loads it by its path, in its own processes: it imports nothing of dgxcert.
"""

import base64
import hashlib
import json
import os
import shlex
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

BLOCK, BLOCKS = 65536, 64
"""Bytes of a block, and blocks at a time."""
LARGEST = 4 * 1024**3


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """`take: {agent: COMMAND, target: PATH}`: the command prints archive, size and sha256 as JSON."""

    _requires_connection = True
    TRANSFERS_FILES = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Take the archive; a file that was taken before is replaced."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        packed = json.loads(self._do(self._task.args["agent"]).splitlines()[-1])
        size, target = int(packed["size"]), self._task.args["target"]
        if size > LARGEST:
            raise AnsibleActionFail(f"what it packed has {size} bytes, wanted at most {LARGEST}")
        os.makedirs(os.path.dirname(target), mode=0o750, exist_ok=True)
        digest, part = hashlib.sha256(), f"{target}.part"
        with open(part, "wb") as file:
            for number in range(-(-size // (BLOCK * BLOCKS))):
                piece = self._piece(str(packed["archive"]), number)
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != packed["sha256"]:
            raise AnsibleActionFail("what arrived is not what it packed: the hashes differ")
        os.replace(part, target)
        return {**result, "changed": True, "rc": 0, "stdout": f"dgxcert taken={size}"}

    def _piece(self, archive: str, number: int) -> bytes:
        skip = number * BLOCKS
        read = f"dd if={shlex.quote(archive)} bs={BLOCK} skip={skip} count={BLOCKS} 2>/dev/null | base64"
        return base64.b64decode(self._do(read))

    def _do(self, line: str) -> str:
        done = self._low_level_execute_command(line, sudoable=True)
        if done["rc"] != 0:
            raise AnsibleActionFail((done.get("stderr") or done.get("stdout") or "it said nothing").strip()[-500:])
        return str(done["stdout"])
