"""The fault matrix: every simulated machine against every requirement that reads the driver or the host.

    python matrix.py [FOLDER] [--only REQUIREMENT] [--json FILE] [--write PAGE] [--keep FOLDER]

Plan, supervisor, plugin, checks, workloads, sampler and nvidia-ml-py are the real ones; only their processes are forked
from this one, which has torch loaded, instead of being started one by one.
"""

import argparse
import contextlib
import gc
import io
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from simulated import engine, gpu_clock, host, ranks
from simulated import machine as machines
from simulated.findings import Finding, Row, grid, row_of, table, worst, written, wrong
from simulated.forks import SILICON, Forking, answered_here, collected_by_fork, started_by_fork
from suites import example

from dgxcert import command
from dgxcert.judgement.requirement import Stage
from dgxcert.machine.identity import Machine, is_display_adapter
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import Outcome
from dgxcert.plan import selection, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.probes.gpu import cuda_devices, nvml, sampler
from dgxcert.probes.host import identity as machine_probe
from dgxcert.profiles import matching, profile
from dgxcert.profiles.profile import Profile
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.state import RunState
from dgxcert.redaction import library
from dgxcert.runner import session
from dgxcert.runner.supervisor import Supervisor
from dgxcert.workloads.hardware import peer_copies

OF_THE_ENGINE = ("DOCKER-REACHABLE", "DOCKER-GPU", "ENGINE-SETTINGS", "CDI-CURRENT", "CONTAINER-COMPUTES")
STARTS_ONE = "CONTAINER-COMPUTES"
REQUIREMENTS = (
    "DOCKER-REACHABLE",
    "DOCKER-GPU",
    "ENGINE-SETTINGS",
    "CDI-CURRENT",
    "CONTAINER-COMPUTES",
    "GPU-PRESENT",
    "DRIVER-BRANCH",
    "DRIVER-AGREES",
    "HOST-GPU-IDLE",
    "GPU-RECOVERY-ACTION",
    "FABRIC-READY",
    "NVLINK-COUNT",
    "NVLINK-SPEED",
    "PEER-ACCESS",
    "CUDA-INITIALISES",
    "GPU-XID",
    "STORAGE-HEALTHY",
    "MEMORY-HEALTHY",
    "PCIE-HEALTHY",
    "CPU-HEALTHY",
    "POWER-HEALTHY",
    "LAST-BOOT",
    "MEMORY-AVAILABLE",
    "SWAP-UNUSED",
    "MEMORY-RESERVED",
    "CPU-CLOCK",
    "KNOWN-BAD-VERSIONS",
    "BOARD-TEMPERATURE",
    "POWER-INPUT",
    "GPU-MODEL",
    "GPU-CAPABILITY",
    "DEVICE-MEMORY",
    "PROCESS-MEMORY",
    "GPU-MEMORY-FREE",
    "GPU-PERSISTENCE",
    "GPU-COMPUTE-MODE",
    "GPU-MIG",
    "GPU-ECC-MODE",
    "GPU-ECC",
    "GPU-ROW-REMAP",
    "GPU-LINK",
    "GPU-POWER-LIMIT",
    "GPU-CLOCK-UNDER-LOAD",
    "GPU-STEADY",
    "GPU-THERMAL",
    "FANS-TURN",
    "GPU-POWER",
    "NVLINK-ERRORS",
    "ALL-GPUS-LOAD",
    "GPU-XID-AFTER",
    "HOST-LOG-AFTER",
    "BOARD-TEMPERATURE-AFTER",
    "GPU-RECOVERY-AFTER",
    "GPU-ECC-AFTER",
    "NVLINK-ERRORS-AFTER",
)
KERNEL = "6.17.0-1021-nvidia"
"""Release of the kernel of a machine whose description names none."""
SECONDS, SIZE, COPY_MIB = 0.8, 64, 1
"""The load: shorter and smaller than in a profile, since simulated time runs faster and a CPU computes."""

ANSWER_S, BUSY_S = 6.0, 120.0
"""Time limits of a driver query: of a machine with a driver that hangs somewhere, and of any other, which answers in a
tenth of a second, or later on a busy computer."""


class Quiet:
    """A progress that shows nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


@dataclass(frozen=True)
class Matrix:
    """The requirements, the catalogues by number of GPUs, and the driver library."""

    requirements: tuple[str, ...]
    catalogues: dict[tuple[int, tuple[int, ...]], list[Entry]]
    library: Path
    keep: Path | None = None
    """Where each machine's run.json is kept, named after the machine."""


def judge(machine: machines.Machine, asked: Matrix, folder: Path) -> Row:
    """Validate one machine in this process, whose environment and host are replaced and cannot be restored."""
    os.environ.update(machine.played(folder, asked.library))
    os.environ["SIMULATED_CUDA_FREE_GIB"] = str(machine.fields["cuda_free_gib"])
    os.environ.update(suite.environment())
    command.run, command.start = answered_here, started_by_fork
    ranks.play()
    gpu_clock.play()
    _shorten_copies()
    nvml.ANSWER_S = sampler.ANSWER_S = cuda_devices.START_S = ANSWER_S if "hangs" in str(machine.fields) else BUSY_S
    os.chdir(suite.root())
    host.play(machine, folder)
    # Of the machine that plays, not of the one played: whether it is virtual, and its operating system.
    dgx_release = machine.fields.get("dgx_release", "7.4.0" if "GB10" in str(machine.fields["name"]) else None)
    kernel = str(machine.fields.get("kernel_release", KERNEL))
    played = {"virtual": bool(machine.fields.get("virtual", False)), "dgx_release": dgx_release, "kernel": kernel}
    read = machine_probe.read().model_copy(update=played)
    chosen = _shortened(_profile(machine, read))
    gpus = session.gpus_to_test(chosen, read), session.display_adapters(chosen, read)
    options = Options(profile=chosen.name, only=asked.requirements)
    # The engine is asked as by a run in the container, though what it works on here is simulated.
    in_container = options.model_copy(update={"runtime": Runtime.DOCKER})
    planned = [
        selection.decide(entry, chosen, in_container if entry.id in OF_THE_ENGINE else options, chosen.gpus_in(read))
        for entry in asked.catalogues.get(gpus) or suite.collect(suite.root(), *gpus)
    ]
    done = measured(planned, options, chosen, read, folder / "run", contained=engine.starts_containers(machine.fields))
    if asked.keep is not None:
        (asked.keep / f"{machine.name}.json").write_text(done.model_dump_json(indent=1), encoding="utf-8")
    findings = worst(done, asked.requirements)
    if not engine.starts_containers(machine.fields) and STARTS_ONE in findings:
        findings[STARTS_ONE] = Finding(Outcome.NOT_APPLICABLE.value, "its description says nothing of containers", ())
    said = [machine.fields.get(name, {}) for name in ("meant_for", "cannot_tell")]
    return Row(machine.name, str(machine.fields["summary"]), chosen.name, findings, *said)


def measured(
    planned: list[Planned],
    options: Options,
    chosen: Profile,
    read: Machine,
    folder: Path,
    *,
    contained: bool = False,
    plugins: tuple[str, ...] = (SILICON,),
) -> runs.Run:
    """A run by the real supervisor, whose children are forked; `contained` with an image for the stage that looks."""
    (folder / "logs").mkdir(parents=True)
    writer = journal.Writer(folder)
    identity = suite.Suite(version="0", modified=False, sha256="0")
    opened = journal.Opened(suite=identity, options=options, profile=chosen, machine=read, plan=tuple(planned))
    writer.append(opened)
    state = RunState([opened])
    supervisor = Supervisor(opened, folder, writer, Quiet(), state)  # type: ignore[arg-type]
    stages = [Stage.HOST, Stage.WORK, Stage.AFTER]
    if contained:
        image = example.image_ready()
        writer.append(image)
        state.take(image)
        stages.insert(1, Stage.IMAGE)
    for stage in stages:
        entries = [entry for entry in planned if entry.runs and _is_of(entry, stage, state)]
        if entries:
            supervisor.run_stage(options.stage_name(stage), Forking(entries, plugins), entries)  # type: ignore[arg-type]
    return runs.assemble(journal.read(folder), "run")


def _is_of(entry: Planned, stage: Stage, so_far: RunState) -> bool:
    """Whether a stage measures a requirement; what only the work decides is one of the stage after it too."""
    return entry.stage is stage or (stage is Stage.AFTER and so_far.decided_after_work(entry.key))


def _profile(machine: machines.Machine, read: Machine) -> Profile:
    """The profile that a run chooses; of a machine without a name in its firmware that of its product, if any."""
    if "profile" in machine.fields:
        return profile.load(str(machine.fields["profile"]))
    if "system_product" in machine.fields:
        return matching.choose(read)
    product = machine.fields.get("name")
    bare = [name for name, match in matching.shipped().items() if match.product == product and not match.systems]
    bought = ["dgx-spark"] if machine.name.startswith("spark") else []
    return profile.load([*bare, *bought, profile.FALLBACK][0])


def _shortened(found: Profile) -> Profile:
    """A profile with a load that a CPU can compute in time."""
    sustained = found.workloads.sustained.model_copy(update={"seconds": SECONDS, "size": SIZE, "products": 1})
    return found.model_copy(update={"workloads": found.workloads.model_copy(update={"sustained": sustained})})


def _shorten_copies() -> None:
    """Let copies between GPUs take a CPU's time."""
    for copies in (peer_copies.load, peer_copies.between):
        copies.__kwdefaults__ = {**(copies.__kwdefaults__ or {}), "size_mib": COPY_MIB}
    peer_copies.LOAD_S = SECONDS


def _judge_apart(machine: machines.Machine, asked: Matrix) -> Row:
    """Judge a machine in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-matrix-") as name:
        folder = Path(name)
        context = multiprocessing.get_context("fork")

        def work() -> None:
            os.setsid()
            row = judge(machine, asked, folder)
            (folder / "row.json").write_text(json.dumps(asdict(row)), encoding="utf-8")

        process = context.Process(target=work)
        process.start()
        process.join()
        if not (folder / "row.json").exists():
            raise RuntimeError(f"{machine.name} could not be judged: its process ended with {process.exitcode}")
        return row_of(json.loads((folder / "row.json").read_text(encoding="utf-8")))


def run(
    described: list[machines.Machine],
    requirements: tuple[str, ...] = REQUIREMENTS,
    keep: Path | None = None,
    jobs: int = 6,
) -> list[Row]:
    """Judge machines. The environment must already point to the driver library, as `prepared` sets it."""
    command.run = collected_by_fork
    counts = {(1, ()), *(_gpus(each) for each in described)}
    catalogues = {(count, displays): suite.collect(suite.root(), count, displays) for count, displays in counts}
    asked = Matrix(requirements, catalogues, Path(os.environ["SIMULATED_LIBRARY"]), keep)
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda each: _judge_apart(each, asked), described))


def _gpus(machine: machines.Machine) -> tuple[int, tuple[int, ...]]:
    """How many GPUs a machine lists or should list, and which of them are display adapters."""
    each = machine.fields.get("each", {})
    products = [str(machine.fields.get("name", "")), *(str(own.get("name", "")) for own in each.values())]
    displays = [index for index, own in each.items() if is_display_adapter(str(own.get("name", "")), products)]
    return max(1, machine.gpus), tuple(displays)


def described(folder: Path, only: tuple[str, ...]) -> list[machines.Machine]:
    """The machines of a folder; with `only`, the healthy ones and those meant for one of these requirements."""
    found = [machines.load(path.stem, folder) for path in sorted(folder.glob("*.yaml"))]
    if not found:
        raise SystemExit(f"{folder} holds no machine: no file there ends in .yaml")
    if not only:
        return found
    return [each for each in found if _expected(each) & set(only) or each.name in BASES]


def _expected(machine: machines.Machine) -> set[str]:
    return {*machine.fields.get("meant_for", {}), *machine.fields.get("cannot_tell", {})}


BASES = set(machines.HEALTHY.values())


def prepared() -> None:
    """Build the simulated driver and start this program again in an environment in which nvidia-ml-py loads it."""
    if "SIMULATED_LIBRARY" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="dgxcert-driver-") as folder:
            library = machines.build(Path(folder))
            env = {**os.environ, "SIMULATED_LIBRARY": str(library), "LD_LIBRARY_PATH": folder}
            sys.exit(os.spawnve(os.P_WAIT, sys.executable, [sys.executable, *sys.argv], env))


def collect_here() -> None:
    """Collect the checks in this process: what is forked finds them loaded, and imports and rewrites none of them."""
    import pytest

    os.environ.update(suite.environment())
    with tempfile.NamedTemporaryFile(prefix="dgxcert-catalogue-") as listing, contextlib.redirect_stdout(io.StringIO()):
        made = suite.pytest_command(
            suite.root(), "--collect-only", "-q", f"--dgxcert-catalogue={listing.name}", "--gpus=1"
        )
        code = pytest.main(made[made.index("pytest") + 1 :])
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"the checks cannot be collected: pytest ended with {code}")


def main() -> None:
    """Print the matrix of a folder. Exit 1 where an outcome differs from the descriptions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=machines.MACHINES)
    parser.add_argument("--only", action="append", default=[], help="a requirement; its machines and the healthy ones")
    parser.add_argument("--json", type=Path, help="write every outcome to this file")
    parser.add_argument("--write", type=Path, help="write the matrix between the markers of this page")
    parser.add_argument("--keep", type=Path, help="keep the run.json of each machine in this folder, which exists")
    options = parser.parse_args()
    only = tuple(options.only)
    if strange := set(only) - set(REQUIREMENTS):
        parser.error(f"{', '.join(sorted(strange))} reads neither driver nor host; known: {', '.join(REQUIREMENTS)}")
    gc.disable()
    found = described(options.folder.resolve(), only)
    prepared()
    import pytest_benchmark.plugin  # noqa: F401 (loaded once, here, for all that are forked)
    import torch

    import dgxcert.runner.plugin  # noqa: F401 (as above)

    torch.set_num_threads(1)  # the second would wait for the first by spinning, and all cores have work
    collect_here()
    matching.shipped()
    library.expressions()
    gc.freeze()  # pytest collects garbage five times at its end: not that of torch, in each fork
    rows = run(found, only or REQUIREMENTS, options.keep.resolve() if options.keep else None)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    if options.write:
        options.write.write_text(written(options.write.read_text(encoding="utf-8"), rows), encoding="utf-8")
    sys.stdout.write(f"{grid(rows)}\n\n{table(rows)}\n")
    if problems := wrong(rows):
        sys.exit("\n".join(["", *problems]))


if __name__ == "__main__":
    main()
