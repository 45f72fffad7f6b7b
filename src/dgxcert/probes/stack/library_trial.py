"""Library trial: what packages beside the lock break in transformers, datasets, accelerate and PEFT.

One new process imports the libraries, then each package that they look for (in a fork), and calls every gate of theirs,
`is_*_available`. Three results are faults: a library or a name of a notebook's first cells does not import, a gate
raises, or a gate says that a package is available which does not import. The tables are the libraries' own: nothing
here knows versions. A second process without the suspects tells whether they are the cause.

`python -m dgxcert.probes.stack.library_trial JSON` is that process.
"""

import contextlib
import importlib
import inspect
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import machinery, metadata
from typing import Any

from dgxcert import command
from dgxcert.machine.software import canonical
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import intruder, lockfile
from dgxcert.probes.stack.placement import Package

LIBRARIES = ("transformers", "datasets", "accelerate", "peft", "evaluate", "diffusers", "trl")
"""Imported where they are installed, in the order of a notebook's first cell."""
GATES = (
    "transformers.utils.import_utils",
    "peft.import_utils",
    "accelerate.utils.imports",
    "diffusers.utils.import_utils",
    "trl.import_utils",
)
"""Modules whose functions `is_*_available` decide which packages a library uses."""
NAMES = {
    "transformers": (
        "pipeline Trainer TrainingArguments AutoTokenizer AutoModelForCausalLM AutoModelForSequenceClassification "
        "AutoImageProcessor DataCollatorWithPadding BitsAndBytesConfig LlamaForCausalLM GPT2LMHeadModel "
        "DistilBertForSequenceClassification"
    ),
    "peft": "LoraConfig get_peft_model",
    "datasets": "load_dataset",
    "accelerate": "Accelerator",
    "evaluate": "load",
}
"""What notebooks import by name: transformers reads the modules behind these names only then."""
OTHER_NAMES = {"tf": "tensorflow", "tensorflow_text": "tensorflow_text", "flax": "flax", "bnb": "bitsandbytes"}
"""Gates that are named otherwise than the package."""
KNOWN = (
    "torchtext torchdata torchcodec vllm sglang unsloth unsloth_zoo flash_attn xformers apex triton kernels trl "
    "deepspeed auto_gptq gptqmodel awq hqq eetq aqlm liger_kernel optimum jax keras tensorflow"
)
"""Modules that notebooks import beside the stack: imported as well, to say which do not. That alone is no fault."""

LIMIT_S, IMPORT_LIMIT_S = 240.0, 60
CHAIN, FRAMES = 8, 200
"""Errors that led to one another, and files of their tracebacks, that are kept."""
MARK = "dgxcert: "


@dataclass(frozen=True)
class Problem:
    """One import or gate that failed; `guilty` is the package beside the lock that it comes from, where one is seen."""

    what: str
    error: str
    guilty: Package | None = None

    def __str__(self) -> str:
        cause = f" (the cause is {self.guilty.name} {self.guilty.version})" if self.guilty else ""
        return f"{self.what}: {self.error}{cause}"


@dataclass(frozen=True)
class Tried:
    """What the libraries do beside the packages that are in no lock."""

    problems: tuple[Problem, ...] = ()
    noted: tuple[str, ...] = ()
    """Packages that do not import and that no library claims to use."""
    without: tuple[str, ...] = ()
    """Problems that remain where the guilty packages are hidden."""

    @property
    def summary(self) -> str:
        """The problems as one value of evidence; `nothing` without any."""
        more = f"; and {len(self.problems) - 6} more" if self.problems[6:] else ""
        return "; ".join(map(str, self.problems[:6])) + more or "nothing"

    @property
    def source(self) -> str:
        """How it was tried, with what was noted beside."""
        noted = f"; do not import, and no library uses them: {'; '.join(self.noted)}" if self.noted else ""
        rest = f"; without the packages named: {'; '.join(self.without) or 'nothing'}" if self.problems else ""
        return f"imports and gates (is_*_available) of the libraries in a new process{rest}{noted}"

    @property
    def remedy(self) -> tuple[str, ...]:
        """The steps that take the guilty packages away; those of the lock where a problem has another cause."""
        steps = [step for problem in self.problems if problem.guilty for step in problem.guilty.removal]
        others = any(problem.guilty is None for problem in self.problems) or self.without
        return tuple(dict.fromkeys((*steps, *(lockfile.advice() if others else ()))))


def read(found: tuple[Package, ...]) -> Tried:
    """Try the libraries beside the packages found; without any there is nothing to try.

    Raises Inconclusive where the process does not end, or was killed.
    """
    if not found:
        return Tried()
    problems, noted = parse(_run(found, ()), found)
    if not problems:
        return Tried((), noted)
    guilty = {problem.guilty.name for problem in problems if problem.guilty} or {package.name for package in found}
    hidden = tuple(package for package in found if package.name in guilty)
    remaining, _ = parse(_run(found, hidden), found)
    left = {problem.what for problem in remaining}
    if not any(problem.guilty for problem in problems):
        # Nothing pointed to one of them: without all of them it works, so that the first is named to begin with.
        cause = hidden[0] if len(hidden) == 1 else None
        problems = tuple(problem if problem.what in left else replace(problem, guilty=cause) for problem in problems)
    return Tried(problems, noted, tuple(map(str, remaining)))


def _run(found: tuple[Package, ...], hidden: tuple[Package, ...]) -> command.Completed:
    described = {
        "beside": [{"name": each.name, "modules": each.modules} for each in found],
        "hidden": [{"name": each.name, "modules": each.modules, "folder": each.folder} for each in hidden],
    }
    args = [sys.executable, "-P", "-m", "dgxcert.probes.stack.library_trial", json.dumps(described)]
    done = command.run(args, timeout_s=LIMIT_S)
    if done.timed_out or done.returncode == -signal.SIGKILL:
        raise Inconclusive(
            f"the libraries could not be tried beside other packages: {_step(done)} did not end, or was killed",
            "Look for a busy or full machine: top; free -g; sudo dmesg | tail",
        )
    return done


def _step(done: command.Completed) -> str:
    lines = [json.loads(line.removeprefix(MARK)) for line in done.stdout.splitlines() if line.startswith(MARK)]
    return next((str(line["at"]) for line in reversed(lines) if "at" in line), "the first step")


def parse(done: command.Completed, found: tuple[Package, ...]) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """The problems, and what was noted, in the lines that the process printed. A step without an end killed it.

    >>> line = '{"what": "peft.import_utils.is_torchao_available()", "error": "ImportError: too old", "files": []}'
    >>> parse(command.Completed((), 0, MARK + line, ""), ())[0][0].error
    'ImportError: too old'
    """
    problems, noted = [], []
    lines = [json.loads(line.removeprefix(MARK)) for line in done.stdout.splitlines() if line.startswith(MARK)]
    for line in lines:
        if "error" in line:
            named = next((each for each in found if each.name == line.get("package")), None)
            guilty = named or intruder.suspect(line["error"], line["files"], found)
            if line.get("noted"):
                noted.append(f"{line['what']}: {line['error'].splitlines()[0][:200]}")
            else:
                problems.append(Problem(line["what"], line["error"].splitlines()[0][:300], guilty))
    if done.returncode != 0 or not lines or "done" not in lines[-1]:
        problems.append(
            Problem(_step(done), f"ended the process: {done.complaint}", intruder.of_output(done.stderr, found))
        )
    return tuple(problems), tuple(noted)


class Finder:
    """Takes the place of Python's finder for folders: records which names are looked for, and hides some of them."""

    def __init__(self, hidden: list[dict[str, Any]]) -> None:
        self.asked: set[str] = set()
        self._folders = {module: each["folder"] for each in hidden for module in each["modules"]}
        self._hidden = {(each["name"], each["folder"]) for each in hidden}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> machinery.ModuleSpec | None:
        """The specification of a module, as Python finds it, or none where it is hidden."""
        if path is None:
            self.asked.add(name)
            if name in self._folders:
                path = [folder for folder in sys.path if os.path.realpath(folder) != self._folders[name]]
        return machinery.PathFinder.find_spec(name, path, target)

    def find_distributions(self, context: Any = None) -> Iterator[metadata.Distribution]:
        """The distributions as Python finds them, without the hidden."""
        context = context or metadata.DistributionFinder.Context()
        if context.name:
            self.asked.add(str(context.name))
        for each in machinery.PathFinder.find_distributions(context):
            folder = os.path.realpath(str(each.locate_file("")))
            if (canonical(str(each.metadata["Name"])), folder) not in self._hidden:
                yield each

    def invalidate_caches(self) -> None:
        """Python's own caches of folders."""
        machinery.PathFinder.invalidate_caches()


def main(described: dict[str, Any]) -> None:
    """Import, fork and call; one line of JSON for each step and each error, the last says that it is done."""
    finder = Finder(described["hidden"])
    sys.meta_path[sys.meta_path.index(machinery.PathFinder)] = finder
    hidden = {each["name"] for each in described["hidden"]}
    beside = [each for each in described["beside"] if each["name"] not in hidden]
    for name in LIBRARIES:
        if importlib.util.find_spec(name) is not None:
            _step_of(f"import {name}", partial(importlib.import_module, name))
    gates = dict(_gates())
    broken = _import_guests(beside, finder.asked, gates)
    for (module, name), gate in gates.items():
        finder.asked.clear()
        available = _step_of(f"{module}.{name}()", gate)
        for guest in broken:
            if available is True and (_is_of(name, guest) or _asks(finder.asked, guest)):
                what = f"{module}.{name}() is True, and import {guest['module']}"
                _print(what=what, package=guest["name"], error=guest["error"], files=guest["files"])
                guest["claimed"] = True
    for guest in broken:
        if not guest.get("claimed"):
            _print(what=f"import {guest['module']}", noted=True, error=guest["error"], files=[])
    for module, names in NAMES.items():
        for name in names.split() if module in sys.modules else ():
            _step_of(f"from {module} import {name}", partial(getattr, sys.modules[module], name))
    _print(done=True)


def _gates() -> Iterator[tuple[tuple[str, str], Callable[[], Any]]]:
    """The functions is_*_available that need no argument, each once, by the module that defines it."""
    for path in GATES:
        module = sys.modules.get(path)
        for name, gate in sorted(vars(module).items()) if module else ():
            if name.startswith("is_") and name.endswith("_available") and callable(gate):
                try:
                    parameters = inspect.signature(gate).parameters.values()
                except (TypeError, ValueError):
                    continue
                if all(each.default is not each.empty or each.kind in (2, 4) for each in parameters):
                    yield (path, name), gate


def _step_of(what: str, work: Callable[[], Any]) -> Any:
    """Announce a step, do it, and print the error that it ends in. An import that calls sys.exit() is one too."""
    _print(at=what)
    try:
        return work()
    except BaseException as error:
        _print(what=what, **_described(error))
        return None


def _described(error: BaseException) -> dict[str, Any]:
    """An error with the messages and the files of those that led to it, the latest last among the files."""
    messages: list[str] = []
    files: list[str] = []
    while error is not None and len(messages) < CHAIN:
        messages.append(f"{type(error).__name__}: {error}")
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)] + files
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return {"error": "\n".join(messages), "files": files[-FRAMES:]}


def _import_guests(beside: list[dict[str, Any]], asked: set[str], gates: Any) -> list[dict[str, Any]]:
    """Import, each in a fork, the packages that the libraries look for or that are known; those that fail, with why."""
    names = {name for _, name in gates}
    broken = []
    for guest in beside:
        wanted = (
            _asks(asked, guest)
            or any(_is_of(name, guest) for name in names)
            or set(KNOWN.split()) & set(guest["modules"])
        )
        for module in guest["modules"] if wanted else ():
            if not module.startswith("_"):
                _print(at=f"import {module}")
                if failed := _import_in_fork(module):
                    broken.append({**guest, "module": module, **failed})
                    break
    return broken


def _import_in_fork(module: str) -> dict[str, Any] | None:
    """Import a module in a fork of this process, which has the libraries loaded; None where that succeeds."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(IMPORT_LIMIT_S)
        failed: dict[str, Any] = {}
        with contextlib.redirect_stdout(sys.stderr):
            try:
                importlib.import_module(module)
            except BaseException as error:
                failed = _described(error)
        os.write(writer, json.dumps(failed).encode()[:60000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answers:
        text = answers.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGALRM:
        return {"error": f"it did not end within {IMPORT_LIMIT_S} s", "files": []}
    if status or not text:
        return {"error": f"the process ended with {status}", "files": []}
    return json.loads(text) or None


def _is_of(gate: str, guest: dict[str, Any]) -> bool:
    """Whether a gate is about a package: is_flash_attn_2_available is about flash_attn."""
    subject = gate.removeprefix("is_").removesuffix("_available")
    subject = OTHER_NAMES.get(subject, subject)
    modules = {*guest["modules"], guest["name"].replace("-", "_")}
    return any(subject == module or subject.startswith(f"{module}_") for module in modules)


def _asks(asked: set[str], guest: dict[str, Any]) -> bool:
    names = {canonical(each) for each in asked}
    return bool(names & {canonical(each) for each in (guest["name"], *guest["modules"])})


def _print(**fields: Any) -> None:
    print(f"{MARK}{json.dumps(fields)}", file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
