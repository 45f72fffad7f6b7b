"""A stdout callback of Ansible's: one JSON line for each thing that happens on a host.

Ansible loads it by its path, in its own processes: it imports nothing of dgxcert.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: room_events
type: stdout
short_description: one JSON line per event
description: One JSON line on standard output for each thing that happens on a host.
"""
KEPT = ("rc", "stdout", "stderr", "msg", "attempts")
LONGEST = 64 * 1024


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible ships no types
    """What Ansible calls."""

    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "stdout", "room_events"

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A task begins on a host."""
        self._say("started", host.get_name(), task.get_name(), {})

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task went well."""
        self._of("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed."""
        if not ignore_errors:
            self._of("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The host could not be reached."""
        self._of("unreachable", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task does not apply."""
        self._of("skipped", result)

    def v2_runner_retry(self, result: Any) -> None:
        """A task is tried again."""
        self._of("retry", result)

    def _of(self, event: str, result: Any) -> None:
        said = result._result
        items = [item for item in said.get("results", ()) if item.get("failed")]
        said = items[0] if event == "failed" and items else said  # a loop says only that an item failed
        self._say(event, result._host.get_name(), result._task.get_name(), said)

    def _say(self, event: str, host: str, task: str, result: dict[str, Any]) -> None:
        kept = {name: result[name] for name in KEPT if result.get(name) is not None}
        cut = {name: value[-LONGEST:] if isinstance(value, str) else value for name, value in kept.items()}
        line = {"at": datetime.now(UTC).isoformat(), "event": event, "host": host, "task": task, **cut}
        sys.stdout.write(json.dumps(line, default=str) + "\n")
        sys.stdout.flush()
