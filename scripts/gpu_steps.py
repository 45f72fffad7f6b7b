"""The steps of `scripts/measure_gpu.py`, in their order, each in parts that take minutes at most; and their tables."""

import functools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import bench_peers
import bench_slowdown
import planted_neighbour
from measurement_folder import Folder, Row, warn

from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.record import timings

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "results" / "measure-gpu"
"""Unfinished runs, which are continued from here."""
FAREWELL_S = 45.0
"""What a validation that is told to stop may take to write its record."""
INTERRUPTED = 130
SAMPLER = "GPU-CLOCK-UNDER-LOAD"


@dataclass(frozen=True)
class Plan:
    """What is measured, and how often."""

    profile: Profile
    tier: str = "standard"
    repeats: int = 5
    tries: int = 20
    turns: int = 3
    which: str = ""
    """The benchmarks of separate processes, as pytest's -k takes them; the main ones without it."""
    peers: bool = True
    """Whether optimum-benchmark takes turns, which needs an environment of its own."""


class Unfinished(Exception):  # noqa: N818 (nothing went wrong)
    """A part was ended at the limit, and goes on where it stands when it is called again."""


@dataclass(frozen=True)
class Part:
    """One measurement: `measure(seconds)` returns what is kept; it is begun only where `takes_s` are left."""

    name: str
    takes_s: float
    """On one H200, expected."""
    measure: Callable[[float], Any] = field(repr=False)


def parts(plan: Plan, folder: Folder) -> list[Part]:
    """All parts in their order."""
    return [*_kernels(plan), *_tier(plan, folder), *_repeats(plan), *_peers(plan), *_one_rank(plan), *_neighbours(plan)]


def tables(plan: Plan, figures: dict[str, Any]) -> dict[str, list[Row]]:
    """A table for each step, of what has been measured of it."""
    return {
        "Standard tier": list(_tier_rows(figures)),
        "Separate runs, and a planted slowdown of 5 %": _repeat_rows(figures),
        "Beside other tools": _peer_rows(plan, figures),
        "One rank": list(_one_rank_rows(figures)),
        "Neighbours in the middle of the rounds": list(_neighbour_rows(plan, figures)),
    }


def texts(figures: dict[str, Any]) -> dict[str, str]:
    """What other programs have printed as tables."""
    return {"Kernels": figures["kernels"]} if figures.get("kernels") else {}


def _kernels(plan: Plan) -> list[Part]:
    program = [sys.executable, str(ROOT / "scripts" / "bench_kernels.py"), "--profile", plan.profile.name]
    return [Part("kernels", 240, lambda _limit_s: _printed(program))]


def _printed(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


def _tier(plan: Plan, folder: Folder) -> list[Part]:
    return [Part("tier", 120, functools.partial(_validated, plan, folder))]


def _validated(plan: Plan, folder: Folder, limit_s: float) -> dict[str, Any]:
    """A whole run of the tier, continued where an earlier call was ended: its times and results; run.json is kept."""
    begun = sorted(RUNS.glob("*/records.jsonl"))
    if begun:
        asked = ["--resume", str(begun[-1].parent)]
    else:
        asked = ["--profile", plan.profile.name, "--tier", plan.tier, "--runtime", "native", "--results", str(RUNS)]
    process = subprocess.Popen([sys.executable, "-m", "dgxcert", "validate", *asked], cwd=ROOT)
    try:
        process.wait(max(1.0, limit_s - FAREWELL_S))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait(FAREWELL_S)
    if process.returncode == INTERRUPTED:
        raise Unfinished
    run = _redacted(sorted(RUNS.glob("*/run.json"))[-1].parent, folder)
    return {"verdict": run["judgement"]["verdict"], "seconds": _seconds(run), **_of_run(run)}


def _redacted(run: Path, folder: Folder) -> dict[str, Any]:
    """Keep the run's record as `dgxcert bundle` gives it away, and the run itself out of the way of the next one."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-measure-") as place:
        archive = Path(place) / "bundle.tar.gz"
        command = [sys.executable, "-m", "dgxcert", "bundle", str(run), "--to", str(archive), "--hide-host", "--yes"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(archive) as bundle:
            name = next(name for name in bundle.getnames() if name.endswith("/run.json"))
            content = bundle.extractfile(name)
            text = content.read() if content is not None else b"{}"
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / "run.json").write_bytes(text)
    done = RUNS.parent / "measure-gpu-done"
    done.mkdir(exist_ok=True)
    run.rename(done / run.name)
    found: dict[str, Any] = json.loads(text)
    return found


def _seconds(run: dict[str, Any]) -> float:
    """Seconds in which requirements were looked at, and what lies between them: a pause of hours does not count."""
    began = datetime.fromisoformat(run["started"])
    if run.get("earlier"):
        return sum(float(result["duration_s"] or 0.0) for result in run["results"])
    return (datetime.fromisoformat(run["ended"]) - began).total_seconds()


def _of_run(run: dict[str, Any]) -> dict[str, Any]:
    """Outcomes by their number, and by benchmark its rate, its shares and its seconds."""
    outcomes = Counter(str(result["outcome"]) for result in run["results"])
    sampled = (each["value"] for each in _evidence(run, SAMPLER) if each["name"] == "sampling")
    timed = {result["key"]: _timed(result) for result in run["results"]}
    return {
        "outcomes": dict(outcomes),
        "rates": {key: found for key, found in timed.items() if found},
        "sampler": next(sampled, None),
    }


def _evidence(run: dict[str, Any], requirement: str) -> Iterator[dict[str, Any]]:
    for result in run["results"]:
        if result["id"] == requirement:
            yield from result["evidence"]


def _timed(result: dict[str, Any]) -> dict[str, Any]:
    """The rate that a benchmark has timed, with its shares of the roofline and of the ceiling; empty for a check."""
    for each in result["evidence"]:
        if each.get("rounds_s"):
            bounds = [name for name in ("roofline", "ceiling") if each.get(name)]
            shares = {name: each["value"] / each[name]["value"] for name in bounds}
            return {"rate": each["value"], "unit": each["unit"], **shares, "s": sum(each["rounds_s"])}
    return {}


def _tier_rows(figures: dict[str, Any]) -> Iterator[Row]:
    found = figures.get("tier")
    if not found:
        return
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(found["outcomes"].items()))
    yield "verdict", f"{found['verdict']} ({counts})", "CERTIFIED, or what this machine lacks"
    yield "from end to end", f"{found['seconds']:.0f} s", "under 480 s"
    if found["sampler"] is not None:
        yield "sampling the driver", f"{found['sampler']:.1%} of a core", "under 2 %"
    yield from _targets(found["rates"])
    for key, each in sorted(found["rates"].items()):
        shares = ", ".join(f"{each[name]:.3f} of {name}" for name in ("roofline", "ceiling") if name in each)
        yield key, f"{each['rate']:.4g} {each['unit']}{f' ({shares})' if shares else ''}", "for comparison"


def _targets(rates: dict[str, Any]) -> Iterator[Row]:
    """What the suite wants of its own kernels on a GPU, from one run."""

    def share(key: str, of: str, wanted: str) -> Iterator[Row]:
        if of in rates.get(key, {}):
            yield f"{key} over its {of}", f"{rates[key][of]:.3f}", wanted

    def over(mine: str, theirs: str, wanted: str) -> Iterator[Row]:
        if mine in rates and theirs in rates:
            mine_rate, their_rate = rates[mine]["rate"], rates[theirs]["rate"]
            yield f"{mine} over {theirs}", f"{mine_rate / their_rate:.2f} ({mine_rate:.4g} / {their_rate:.4g})", wanted

    decode = "DECODE-SPEED[bf16-tuned-single]"
    yield from share(decode, "ceiling", ">= 0.80")
    yield from over(decode, "DECODE-SPEED[bf16-stock-single]", ">= 3")
    yield from over("DECODE-SPEED[int4-tuned-single]", decode, ">= 1.8")
    yield from over("DECODE-SPEED[nf4-tuned-single]", decode, ">= 1.5")
    yield from share("PREFILL-SPEED[int4-tuned-single]", "roofline", ">= 0.40")
    yield from share("DECODE-SPEED[int4-tuned-full]", "roofline", ">= 0.40")


def _repeats(plan: Plan) -> list[Part]:
    """Separate processes: the unchanged ones that are the reference, then slowed and unchanged ones by turns."""
    names = [(f"repeats/{number}", 0.0) for number in range(1, plan.repeats + 1)]
    for number in range(1, plan.tries + 1):
        names += [(f"slowed/{number}", bench_slowdown.SLOWER), (f"unchanged/{number}", 0.0)]
    measure = bench_slowdown.benchmarks
    return [
        Part(name, 35, functools.partial(_without_limit, measure, plan.profile, slower, plan.which))
        for name, slower in names
    ]


def _without_limit(measure: Callable[..., Any], *given: Any) -> Any:
    """For what knows no limit of its own: the call's last argument is dropped, and its alarm ends it."""
    return measure(*given[:-1])


def _repeat_rows(figures: dict[str, Any]) -> list[Row]:
    reference = list(_runs(figures, "repeats").values())
    slowed, unchanged = _runs(figures, "slowed"), _runs(figures, "unchanged")
    pairs = [(run, unchanged[number]) for number, run in slowed.items() if number in unchanged]
    if not pairs:
        return bench_slowdown.scatter(reference) if len(reference) > 1 else []
    return [*bench_slowdown.scatter(reference), *bench_slowdown.rows(reference, pairs)]


def _runs(figures: dict[str, Any], kind: str) -> dict[str, bench_slowdown.Run]:
    names = (name for name in figures if name.startswith(f"{kind}/"))
    return {name.partition("/")[2]: timings.parse(figures[name]) for name in names}


def _peers(plan: Plan) -> list[Part]:
    tools = {bench_peers.SUITE: bench_peers.suite_turn, bench_peers.BARE: bench_peers.bare_turn}
    if plan.peers:
        tools[bench_peers.THEIRS] = _optimum_turn
    return [
        Part(f"peers/{tool}/{turn}", 180, functools.partial(_without_limit, measure, plan.profile))
        for turn in range(1, plan.turns + 1)
        for tool, measure in tools.items()
    ]


def _optimum_turn(profile: Profile) -> bench_peers.Turn:
    try:
        python = bench_peers.peers_python()
    except subprocess.CalledProcessError as error:
        warn(f"optimum-benchmark cannot be installed here, and is left out: {' '.join(map(str, error.cmd))}")
        return {}, 0.0, 0.0
    with tempfile.TemporaryDirectory(prefix="dgxcert-peers-") as folder:
        bench_peers.keep_model(profile, folder)
        return bench_peers.optimum_turn(python, folder, profile)


def _peer_rows(plan: Plan, figures: dict[str, Any]) -> list[Row]:
    """Of the tools of which every turn that was taken has rates."""
    kept = bench_peers.Figures()
    for name, found in figures.items():
        if name.startswith("peers/") and found[0]:
            kept.add(name.split("/")[1], *found)
    if bench_peers.SUITE not in kept.tools or bench_peers.BARE not in kept.tools:
        return []
    return list(bench_peers.rows(kept, plan.profile.workloads.lora.small.batch))


def _one_rank(plan: Plan) -> list[Part]:
    return [Part("one-rank", 60, lambda limit_s: _alone(plan.profile, limit_s))]


def _alone(profile: Profile, limit_s: float) -> dict[str, Any]:
    """Collectives of one rank by the backend that several would use, NCCL on a GPU: proven, then timed."""
    from dgxcert.workloads.distributed import launch, nccl_log
    from dgxcert.workloads.distributed.task import Job
    from dgxcert.workloads.hardware.together import neighbours

    device = Device("cuda" if profile.uses_gpu else "cpu", 0, "this machine", margin_gib=profile.memory.margin.value)
    sizes = profile.workloads.collectives
    proof = {"counts": list(sizes.counts), "bf16_count": sizes.bf16_count, "operations": ["all_reduce", "all_gather"]}
    speed = {"operation": "all_reduce", "growth": sizes.growth, "timing": profile.workloads.timing.model_dump()}
    speed |= {"smallest_bytes": sizes.smallest_bytes, "largest_bytes": sizes.largest_mib * 2**20}
    speed["ours"] = neighbours.ours([device])
    jobs = [Job("distributed.proof", proof), Job("distributed.speed", speed)]
    said, error = launch.in_turn(jobs, [device], limit_s=limit_s / 2, variables=nccl_log.VARIABLES)
    answers = [answer[0] for answer in said]
    timed = answers[1] if len(answers) > 1 else {}
    return {
        "wrong": answers[0]["wrong"] if answers else None,
        "compared": answers[0]["compared"] if answers else None,
        "bytes": timed.get("bytes"),
        "median_s": statistics.median(timed["seconds"]) if timed.get("seconds") else None,
        "how": timed.get("how", ""),
        "error": str(error) if error is not None else "",
    }


def _one_rank_rows(figures: dict[str, Any]) -> Iterator[Row]:
    found = figures.get("one-rank")
    if not found:
        return
    if found["error"]:
        yield "it ended with", found["error"], "no error"
    yield "values proven, of them wrong", f"{found['compared']}, {found['wrong']}", "0 wrong"
    if found["median_s"]:
        yield (
            f"all_reduce of {found['bytes']} bytes",
            f"{found['median_s'] * 1e6:.0f} us, {found['how']}",
            "for comparison",
        )


def _neighbours(plan: Plan) -> list[Part]:
    return [
        Part(f"neighbours/{kind}", 90, functools.partial(_without_limit, _beside, plan, kind))
        for kind in ("compute", "draw")
    ]


def _beside(plan: Plan, kind: str) -> dict[str, str]:
    """What benchmarks say of a neighbour in the middle of their rounds, by their test; "passed" would be wrong."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-neighbour-") as place:
        report = Path(place) / "junit.xml"
        which = plan.which or bench_slowdown.wanted(plan.profile)
        asked = [*bench_slowdown.FILES, "--profile", plan.profile.name, "-q", "-k", which, f"--junitxml={report}"]
        variables = {"DGXCERT_NEIGHBOUR": kind, "PYTHONPATH": str(ROOT / "scripts")}
        command = [sys.executable, "-m", "pytest", *asked, "-p", planted_neighbour.__name__]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True)
        if not report.is_file() or done.returncode == planted_neighbour.CANNOT:
            warn(f"no neighbour can {kind} here: {(done.stdout + done.stderr).strip().splitlines()[-1:]}")
            return {}
        told: dict[str, str] = {}
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 (our own file)
            told.setdefault(str(case.get("name")), _told(case))  # a teardown that repeats it comes second
        return told


def _told(case: ElementTree.Element) -> str:
    for found in case:
        if found.tag in ("failure", "error", "skipped"):
            return " ".join(str(found.get("message") or found.text or found.tag).split())[:300]
    return "passed"


def _neighbour_rows(plan: Plan, figures: dict[str, Any]) -> Iterator[Row]:
    """On a CPU the limits of a rehearsal leave room for others, which is no fault."""
    wanted = "not passed" if plan.profile.uses_gpu else "for comparison"
    for name, found in figures.items():
        if name.startswith("neighbours/"):
            for test, told in found.items():
                which = re.sub(r"^.*\[|\]$", "", test)
                yield f"{name.partition('/')[2]} beside {which}", told.replace("|", "/"), wanted
