"""This suite compared with bare transformers programs and optimum-benchmark in one run: `make bench-peers`.

All take turns on the same model, sizes, precision and number of threads, and medians are compared. optimum-benchmark
has an environment of its own with the course's pins; it is no dependency of the project. On several GPUs collectives
are compared with nccl-tests, where that is installed: peer_nccl.py. Prints a Markdown table for
docs/performance.md; --write puts it there.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peer_nccl
import performance_page

from dgxcert.machine.device import Device
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.models import architectures, seeded, text

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-peers"
PINS = ROOT / "container" / "stacks" / "course.in"
TORCH, OPTIMUM = "torch==2.13.0", "optimum-benchmark==0.6.0"
THREADS = "2"
STEPS = 40
"""Steps of optimum-benchmark's training, of which it counts three quarters."""
SUITE, BARE, THEIRS = "suite", "bare", "optimum-benchmark"
PATHS = ("stock", "tuned")
BARE_PROGRAMS = ("loop", "generate", "prefill", "first", "lora")
Turn = tuple[dict[str, float], float, float]
"""What one tool measured: rates by name, seconds of the clock, and the most memory in GiB."""
PREFILL_ONLY = 2
"""New tokens where only prefill is of interest: optimum-benchmark needs one step to time."""


@dataclass
class Figures:
    """What the tools reported, by name, one value for each turn; seconds and GiB by tool."""

    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wall_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    peak_gib: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, tool: str, rates: dict[str, float], wall_s: float, peak_gib: float) -> None:
        """One turn of a tool."""
        for name, rate in rates.items():
            self.rates[f"{tool} {name}"].append(rate)
        self.wall_s[tool].append(wall_s)
        self.peak_gib[tool] = max(self.peak_gib[tool], peak_gib)

    @property
    def tools(self) -> tuple[str, ...]:
        """Those that took turns."""
        return tuple(self.wall_s)

    def median(self, name: str) -> float:
        """Of all turns; raises KeyError where no turn reported it."""
        if name not in self.rates:
            raise KeyError(f"no turn reported {name!r}; known: {', '.join(sorted(self.rates))}")
        return statistics.median(self.rates[name])


def environment(device: str) -> dict[str, str]:
    """The same number of threads for all, and no requests to the Hub."""
    threads = {"OMP_NUM_THREADS": THREADS, "MKL_NUM_THREADS": THREADS} if device == "cpu" else {}
    return {**os.environ, **threads, "HF_HUB_OFFLINE": "1", "COLUMNS": "120"}


def suite_turn(profile: Profile) -> Turn:
    """Run the benchmarks as a user would: what run.json reports."""
    precision = "bf16" if profile.uses_gpu else "fp32"
    names = {"DECODE-SPEED": "single", "PREFILL-SPEED": "single", "LORA-SPEED": "small"}
    keys = [f"{name}[{precision}-{path}-{setting}]" for name, setting in names.items() for path in PATHS]
    with tempfile.TemporaryDirectory(prefix="dgxcert-peers-") as folder:
        options = ["--profile", profile.name, "--runtime", "native", "--only", ",".join(keys), "--results", folder]
        _, wall_s = _run(SUITE, [sys.executable, "-m", "dgxcert", "validate", *options], profile)
        run = json.loads(next(Path(folder).glob("*/run.json")).read_text(encoding="utf-8"))
    return of_suite(run, keys, wall_s)


def of_suite(run: dict[str, Any], keys: list[str], wall_s: float) -> Turn:
    """Rates by path and benchmark, seconds and GiB, from a run.json; raises ValueError where one was not measured."""
    rates, peak_gib = {}, 0.0
    results = {result["key"]: result for result in run["results"]}
    for key in keys:
        result = results[key]
        timed = [each for each in result["evidence"] if each.get("rounds_s")]
        if len(timed) != 1:
            raise ValueError(f"{key} was not measured: {result['outcome']}, {result.get('reason')}")
        rates[f"{key.split('-')[0].lower()} {key.split('-')[2]}"] = float(timed[0]["value"])
        peaks = (each["value"] for each in result["evidence"] if each["name"].startswith("peak memory of "))
        peak_gib = max(peak_gib, *peaks)
    return rates, wall_s, peak_gib


def bare_turn(profile: Profile) -> Turn:
    """Each bare program in a process of its own."""
    rates: dict[str, float] = {}
    wall_s, peak_gib = 0.0, 0.0
    for kind in BARE_PROGRAMS:
        program = str(ROOT / "scripts" / "bare_transformers.py")
        said, seconds = _run(BARE, [sys.executable, program, kind, profile.name], profile)
        rate, peak = map(float, said.split()[-2:])
        rates[kind], wall_s, peak_gib = rate, wall_s + seconds, max(peak_gib, peak)
    return rates, wall_s, peak_gib


def optimum_turn(python: Path, folder: str, profile: Profile) -> Turn:
    """optimum-benchmark on the model in a folder: decode, also with its memory tracking, prefill, and LoRA training."""
    sizes, lora = profile.workloads, profile.workloads.lora.small
    about = {"folder": folder, "device": "cuda" if profile.uses_gpu else "cpu"}
    about["dtype"] = "bfloat16" if profile.uses_gpu else "float32"
    decode, prompt = sizes.decode.single, sizes.prefill.single.prompt
    writing = {"what": "inference", "prompt": decode.prompt, "new_tokens": decode.new_tokens}
    reading = {"what": "inference", "prompt": prompt, "new_tokens": PREFILL_ONLY, "memory": False}
    training = {"rank": lora.rank, "steps": STEPS, "batch": lora.batch, "length": lora.length}
    asked: list[tuple[dict[str, Any], dict[str, str]]] = [
        (writing | {"memory": False}, {"decode token/s": "decode"}),
        (writing | {"memory": True}, {"decode token/s": "decode, memory tracked"}),
        (reading, {"prefill token/s": "prefill"}),
        ({"what": "training", **training}, {"reported samples/s": "samples", "step/s": "steps"}),
    ]
    rates: dict[str, float] = {}
    wall_s, peak_gib = 0.0, 0.0
    for question, wanted in asked:
        program = str(ROOT / "scripts" / "peer_optimum.py")
        said, seconds = _run(THEIRS, [str(python), program, json.dumps(about | question)], profile)
        answer = json.loads(said.splitlines()[-1])
        rates |= {mine: float(answer[theirs]) for theirs, mine in wanted.items()}
        wall_s, peak_gib = wall_s + seconds, max(peak_gib, float(answer["peak GiB"]))
    return rates, wall_s, peak_gib


def _run(tool: str, command: list[str], profile: Profile) -> tuple[str, float]:
    began = time.monotonic()
    done = subprocess.run(
        command, env=environment("cuda" if profile.uses_gpu else "cpu"), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{tool} ended with {done.returncode}: {' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout, time.monotonic() - began


def peers_python() -> Path:
    """Python of the environment that holds optimum-benchmark; made the first time, in a minute or two."""
    python = PEERS / "bin" / "python"
    has = [str(python), "-c", "import optimum_benchmark, peft"]
    if python.is_file() and subprocess.run(has, capture_output=True, check=False).returncode == 0:
        return python
    pins = [line for line in PINS.read_text(encoding="utf-8").splitlines() if re.match(r"[a-z]", line)]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(PEERS)],
        [str(python), "-m", "pip", "install", "-q", TORCH],
        [str(python), "-m", "pip", "install", "-q", *pins, OPTIMUM],
    ):
        subprocess.run(command, check=True)
    return python


def keep_model(profile: Profile, folder: str) -> None:
    """Save the decode model and a tokenizer where optimum-benchmark can load them without the Hub."""
    device = Device("cuda" if profile.uses_gpu else "cpu", 0, "this machine", margin_gib=profile.memory.margin.value)
    shape = architectures.find(profile.workloads.decode.model)
    model = seeded.build(device, shape, "bf16" if profile.uses_gpu else "fp32")
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = None, 0
    model.save_pretrained(folder)
    text.tokenizer().save_pretrained(folder)
    del model
    device.release()


def rows(figures: Figures, batch: int) -> Iterator[tuple[str, str, str]]:
    """Rows of the table, of the tools that took turns: what is compared, the ratio with both figures, the target."""
    compared = [
        ("decode, token/s: tuned / bare loop", "suite decode tuned", "bare loop", ">= 0.97"),
        ("decode, token/s: stock / bare `generate`", "suite decode stock", "bare generate", ">= 0.97"),
        ("decode, token/s: tuned / optimum-benchmark", "suite decode tuned", f"{THEIRS} decode", ">= 1.5"),
        ("the same, with its memory tracking", "suite decode tuned", f"{THEIRS} decode, memory tracked", ">= 1.5"),
        ("prefill, token/s: tuned / bare pass", "suite prefill tuned", "bare prefill", ">= 0.97"),
        ("prefill, token/s: stock / bare `generate` of one token", "suite prefill stock", "bare first", ">= 0.97"),
        ("prefill, token/s: tuned / optimum-benchmark", "suite prefill tuned", f"{THEIRS} prefill", "for comparison"),
        ("LoRA, step/s: stock / bare loop", "suite lora stock", "bare lora", ">= 0.97"),
        ("LoRA, step/s: tuned / bare loop", "suite lora tuned", "bare lora", "for comparison"),
        ("LoRA, step/s: tuned / optimum-benchmark's steps", "suite lora tuned", f"{THEIRS} steps", "for comparison"),
    ]
    for what, mine, theirs, wanted in compared:
        if all(name.startswith(figures.tools) for name in (mine, theirs)):
            yield what, ratio(figures.median(mine), figures.median(theirs)), wanted
    if THEIRS in figures.tools:
        yield _counted(figures, batch)
    for tool in figures.tools:
        wall_s, peak_gib = statistics.median(figures.wall_s[tool]), figures.peak_gib[tool]
        yield f"{tool}: wall time of a turn; highest memory", f"{wall_s:.0f} s; {peak_gib:.2f} GiB", "for comparison"


def _counted(figures: Figures, batch: int) -> tuple[str, str, str]:
    samples, steps = figures.median(f"{THEIRS} samples"), figures.median(f"{THEIRS} steps")
    what = f"LoRA, sample/s that optimum-benchmark reports / its own steps of {batch} rows"
    return what, ratio(samples, steps * batch), "1; it multiplies by the number of steps"


def ratio(mine: float, theirs: float) -> str:
    """A ratio with its two figures."""
    return f"{mine / theirs:.3g} ({mine:.4g} / {theirs:.4g})"


def main() -> None:
    """Take turns, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the table in docs/performance.md")
    options = parser.parse_args()
    profile, python, figures = profiles.load(options.profile), peers_python(), Figures()
    with tempfile.TemporaryDirectory(prefix="dgxcert-peers-") as folder:
        keep_model(profile, folder)
        for turn in range(options.turns):
            print(f"turn {turn + 1} of {options.turns}", file=sys.stderr, flush=True)
            figures.add(SUITE, *suite_turn(profile))
            figures.add(BARE, *bare_turn(profile))
            figures.add(THEIRS, *optimum_turn(python, folder, profile))
    about = f"profile {profile.name}, medians of {options.turns} turns"
    found = [*rows(figures, profile.workloads.lora.small.batch), *peer_nccl.compared(profile)]
    performance_page.show("bench-peers", found, about, keep=options.write)


if __name__ == "__main__":
    main()
