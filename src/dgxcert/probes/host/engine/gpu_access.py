"""How the engine's containers get GPUs: the toolkit, the settings of both, and the CDI specifications in use."""

from dataclasses import dataclass

from dgxcert import command
from dgxcert.container.engine_answer import Engine
from dgxcert.container.engine_kind import PODMAN
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import docker_engine, kernel_module
from dgxcert.probes.host.engine import cdi, settings
from dgxcert.probes.host.engine.cdi import Specification
from dgxcert.probes.host.engine.settings import Daemon, Toolkit

FIRST_WITH_CDI = 29
"""From this release on `--gpus` takes CDI first (moby/moby, daemon/devices_nvidia_linux.go)."""
REFRESH_S = 3.0
REFRESH = "nvidia-cdi-refresh.path"
"""The unit by which the toolkit, from 1.18 on, writes a specification after each update."""


@dataclass(frozen=True)
class Finding:
    """Faults that were found, where they were looked for, and what to do."""

    faults: tuple[str, ...]
    source: str
    remedy: tuple[str, ...]


def toolkit(engine: Engine) -> str:
    """The toolkit by which an engine gives GPUs away, with what differs from its defaults."""
    return settings.read_toolkit(engine.kind).description


def read_settings() -> Finding:
    """The faults in the settings of engine and toolkit; raises Inconclusive where the engine does not answer."""
    engine = docker_engine.read()
    return of_settings(engine, settings.read_daemon(engine.kind), settings.read_toolkit(engine.kind))


def of_settings(engine: Engine, daemon: Daemon, toolkit: Toolkit) -> Finding:
    """The faults in settings that were read."""
    faults = (*daemon.faults, *toolkit.faults)
    runtime = f", default runtime {daemon.default_runtime}" if daemon.default_runtime else ""
    switched = "" if daemon.cdi is None else f", features.cdi {str(daemon.cdi).lower()}"
    said = "; ".join(faults) or f"{daemon.path}{runtime}{switched}; {toolkit.description}"
    steps = (
        "Look at both: cat $config $toolkit_config",
        "Define the toolkit's runtime again, or remove what names it: $configure",
        "Check the engine's file before the next start: sudo dockerd --validate --config-file=$config",
        "Write the toolkit's own settings to compare with: nvidia-ctk config default",
    )
    return Finding(faults, said, engine.kind.steps(steps))


def read_specifications() -> Finding:
    """The faults of the CDI specifications in use; raises Inconclusive where the engine does not answer."""
    engine = docker_engine.read()
    toolkit = settings.read_toolkit(engine.kind)
    return of_specifications(engine, toolkit, cdi.read(), loaded_driver(), refresh())


def of_specifications(
    engine: Engine, toolkit: Toolkit, found: list[Specification], loaded: str, refresh: str
) -> Finding:
    """The faults of specifications that were read. Those that this engine does not use are named, and are none."""
    faults = cdi.faults(found, loaded)
    files = ", ".join(each.path for each in found) or "no CDI specification of NVIDIA GPUs"
    if not uses_cdi(engine, toolkit):
        said = f"; not used, and stale: {'; '.join(faults)}" if faults else ""
        return Finding((), f"{engine.kind.name} {engine.version} gives GPUs by the toolkit's runtime or hook{said}", ())
    source = "; ".join(faults) or f"{files}, driver {loaded or 'unknown'}"
    return Finding(tuple(faults), f"{source}; {REFRESH}: {refresh}", engine.kind.steps(cdi.renewal(faults)))


def uses_cdi(engine: Engine, toolkit: Toolkit) -> bool:
    """Whether this engine's containers get GPUs by a specification.

    >>> spark = Engine("unix:///x", "29.2.1", 53, 44, 45, 24, "aarch64", "/", False, ("CDI device nvidia.com/gpu=0",))
    >>> uses_cdi(spark, Toolkit("1.19.0"))
    True
    """
    if engine.kind is PODMAN or toolkit.mode == "cdi":
        return True
    major = engine.version.partition(".")[0]
    discovered = any(way.startswith("CDI device nvidia.com/") for way in engine.gpu_ways)
    return discovered and major.isdigit() and int(major) >= FIRST_WITH_CDI


def loaded_driver() -> str:
    """The version of the loaded kernel module; empty where it cannot be read, which DRIVER-AGREES judges."""
    try:
        return kernel_module.read().version
    except Inconclusive:
        return ""


def refresh() -> str:
    """The state of the unit that renews specifications, e.g. `enabled, active`."""
    show = ["systemctl", "show", "--property=UnitFileState,ActiveState", "--value", REFRESH]
    try:
        done = command.run(show, timeout_s=REFRESH_S)
    except OSError:
        return "no systemd"
    words = [line for line in done.stdout.splitlines() if line]
    return ", ".join(words) if done.returncode == 0 and len(words) > 1 else "not installed"
