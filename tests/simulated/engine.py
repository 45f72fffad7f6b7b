"""The container engine of a simulated machine: its answers, its files, and what a container of it says.

`engine` names a recorded engine (tests/recorded/engines), or how it fails to answer: `stopped`, `forbidden`, `absent`,
`silent`. Without it a machine has the engine of a Spark, which gives GPUs by CDI.
"""

import json
from pathlib import Path
from typing import Any

from dgxcert.container import engine_answer, engine_kind
from dgxcert.container.engine_answer import Engine, EngineProblem
from dgxcert.probes.host import container, docker_engine
from dgxcert.probes.host.engine import cdi, daemon_log, gpu_access, settings

RECORDED = Path(__file__).parents[1] / "recorded" / "engines"
FIELDS = {
    "engine",
    "engine_info",
    "engine_log",
    "engine_settings",
    "toolkit_version",
    "toolkit_settings",
    "cdi_files",
    "container_refused",
    "container_says",
}
"""Beside `engine`: what replaces fields of its /info, the end of its log, the texts of daemon.json and config.toml, CDI
specifications by path, the error with which it refuses to start a container, and the errors of one that fails."""
REFUSALS = {
    "stopped": ConnectionRefusedError(111, "Connection refused"),
    "forbidden": PermissionError(13, "Permission denied"),
    "absent": FileNotFoundError(2, "No such file or directory"),
    "silent": TimeoutError("timed out"),
}


def starts_containers(fields: dict[str, Any]) -> bool:
    """Whether a description says what a container does; elsewhere its driver says all that one could show."""
    return bool({"container_refused", "container_says"} & set(fields))


def play(fields: dict[str, Any]) -> None:
    """Replace the engine that this process asks, and the container that it starts."""
    replaced: dict[tuple[Any, str], Any] = {}
    replaced[daemon_log, "read"] = lambda kind: "\n".join(fields.get("engine_log", []))
    replaced[engine_kind, "is_present"] = lambda kind: kind is engine_kind.DOCKER and fields.get("engine") != "absent"
    replaced[settings, "version"] = lambda: str(fields.get("toolkit_version", "1.19.0"))
    replaced[settings, "_text"] = lambda path: _settings(fields, path)
    replaced[cdi, "read"] = lambda: [cdi.parse(path, text) for path, text in fields.get("cdi_files", {}).items()]
    replaced[gpu_access, "refresh"] = lambda: "enabled, active"
    replaced[container, "read"] = lambda image, *, gpus: _container(fields)
    for (module, name), value in replaced.items():
        setattr(module, name, value)
    answer = _answer(fields)  # by the log and the programs that were replaced
    engine_answer.ask = lambda: answer


def _answer(fields: dict[str, Any]) -> Engine | EngineProblem:
    name, endpoint = str(fields.get("engine", "spark-29")), docker_engine.DEFAULT_ENDPOINT
    if name in REFUSALS:
        return docker_engine.diagnose(REFUSALS[name], endpoint, selected=False)
    recorded = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    # Folders of this machine are none of the one that is played.
    info = {**recorded["info"], "CDISpecDirs": ["/nowhere"], **fields.get("engine_info", {})}
    return docker_engine.parse(endpoint, recorded["version"], info, ("1.24", "1.45"))


def _settings(fields: dict[str, Any], path: str) -> str | None:
    name = "toolkit_settings" if path.endswith(".toml") else "engine_settings"
    return str(fields[name]) if name in fields else None


def _container(fields: dict[str, Any]) -> container.Container:
    answer = engine_answer.ask()
    kind = answer.kind if isinstance(answer, Engine) else engine_kind.DOCKER
    if "container_refused" in fields:
        return container.refused(str(fields["container_refused"]), kind)
    return container.parse(1, "", str(fields["container_says"]), kind)
