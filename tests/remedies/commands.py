"""The commands in a text: in backticks, after a colon or in brackets; and what is wrong with one."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import util
from itertools import pairwise

import typer
import yaml
from paths import ROOT, TESTS

from dgxcert import cli
from dgxcert.machine.trait import Trait

TABLES = yaml.safe_load((TESTS / "remedies" / "tables.yaml").read_text(encoding="utf-8"))
"""What exists: programs with their packages, options, units, package names; each with its source."""

DESTROYS = {
    r"\brm\s+-\w*[rf]": "removes without a question",
    r"\bprune\b(?! --dry-run)": "removes what others keep",
    r"--clear\b": "empties an environment",
    r"\bmkfs|\bdd\s+if=|>\s*/dev/(sd|nvme)": "overwrites a disk",
    r"\bgit\s+(reset\s+--hard|clean|checkout\s+--)": "discards changes",
    r"\bpip3?\s+uninstall\b(?! -y (?:torchao$|\{))": "removes a package that a user may need",
    r"\bapt(-get)?\s+(purge|remove|autoremove)": "removes packages",
    r"\bkill\s+-(9|KILL)\b|\bkillall\b|\bpkill\b": "ends programs without letting them save",
    r"\bswapoff\b": "moves what is swapped out into memory that is missing",
    r"\bdocker\s+(system|volume\s+rm|rm\s+-f|container\s+rm)": "removes containers or their data",
    r"\bmake\s+clean\b": "removes an environment with all that was installed there",
    r"\bchmod\s+(-R|777)|\bchown\s+-R\b(?!.*~/\.cache/huggingface$)": "changes the rights of many files",
    r"\bwipefs\b|\bparted\b|\bfdisk\b|\bshred\b|\btruncate\b": "destroys files or disks",
}
"""What no remedy may tell anyone to type, and why."""

CONDITIONAL = {
    r"\breseat|\briser\b|another slot|card sits|cable of the card": (Trait.CARD,),
    r"\bdocker\.io\b": (Trait.OTHER_OS,),
    r"\bdocker-ce\b": (Trait.DGX_OS,),
    r"\bunplug\b": (Trait.PHYSICAL, Trait.SPARK, Trait.CARD),
}
"""What is right on some machines alone, and the traits that a step must name for it."""

CODE = re.compile(r"[(=\[{]|^[A-Z_]+$")
SEPARATORS = re.compile(r"\s*(?:;|&&|\|\||\||,? then:?(?=\s)|,? or(?=\s)|,? and(?=\s))\s*")
ENGLISH = re.compile(r"make (it|sure|them|a|an|the|one|room)\b")
"""What begins like a command and is a sentence."""
ASSIGNMENT = re.compile(r"^[A-Z][A-Z0-9_]*=")
WORD = r"[a-z][\w.-]*"


def commands(text: str) -> Iterator[str]:
    """Every simple command that a text tells its reader to type.

    >>> list(commands("Compare `uname -m` with it: docker info | head; then restart (sudo reboot)."))
    ['uname -m', 'sudo reboot', 'docker info', 'head']
    """
    for part in re.split(r"(`[^`]+`)", text):
        if part.startswith("`"):
            yield from _simple(part.strip("`"), quoted=True)
            continue
        for bracket in re.findall(r"\(([^()]+)\)", part):
            yield from (each for each in _simple(bracket) if _program(each) in TABLES["programs"] or _destroys(each))
        for _, rest in _after_colons(part):
            yield from _simple(rest)


def _after_colons(text: str) -> Iterator[tuple[int, str]]:
    """What follows each `: `, up to the end of the sentence."""
    for match in re.finditer(r": ", text):
        yield match.start(), re.split(r"(?<=\w)\. (?=[A-Z])|\.$", text[match.end() :])[0]


def _simple(text: str, *, quoted: bool = False) -> Iterator[str]:
    """The simple commands in a line of shell with words between them; quoted text is kept whole."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group(0))
        return f"\0{len(kept) - 1}\0"

    hidden = re.sub(r"'[^']*'|\"[^\"]*\"|\{\{.*?\}\}", keep, text)
    for piece in SEPARATORS.split(hidden):
        shown = re.sub(r"\0(\d+)\0", lambda match: kept[int(match.group(1))], piece).strip().rstrip(",.")
        shown = re.sub(r"\s*\([^()]*\)?$", "", shown) if not quoted else shown
        if shown and _looks_like_a_command(shown, quoted=quoted):
            yield shown


def _looks_like_a_command(text: str, *, quoted: bool) -> bool:
    words = text.split()
    program = _program(text)
    if program in TABLES["programs"]:
        return not ENGLISH.match(text)
    if not re.fullmatch(WORD, program) or program in TABLES["no_programs"]:
        return False
    if quoted:
        return len(words) > 1 and not CODE.search(text)
    return len(words) > 1 and bool(
        re.match(r"--?[a-z]|/|~/", words[words.index(program) + 1] if words[-1] != program else "")
    )


def _program(text: str) -> str:
    """The first word that is neither `sudo` nor a variable.

    >>> _program("sudo apt install x"), _program("HF_DEBUG=1 hf download gpt2")
    ('apt', 'hf')
    """
    words = [word for word in text.split() if word != "sudo" and not ASSIGNMENT.match(word)]
    if words[:2] == ["env", "-u"]:
        words = words[3:]
    return words[0] if words else ""


def _destroys(command: str) -> list[str]:
    return [f"`{command}` {why}" for pattern, why in DESTROYS.items() if re.search(pattern, command)]


def faults(command: str) -> list[str]:
    """What is wrong with a command: it destroys something, or names what does not exist."""
    found = _destroys(command)
    if "{sys.prefix}" in command or "{sys.executable}" in command:
        found.append(f"`{command}` holds a path that the run did not make")
    program = _program(command)
    if program not in TABLES["programs"]:
        return [*found, f"`{command}`: {program} is in no table of programs"]
    try:
        words = shlex.split(command, comments=False)
    except ValueError as error:
        return [*found, f"`{command}`: {error}"]
    rest = words[next((index for index, word in enumerate(words) if word == program), -1) + 1 :]
    judge = JUDGES.get(program)
    return found + ([f"`{command}`: {fault}" for fault in judge(rest)] if judge else [])


def faults_of(text: str, *, advises: bool = True) -> list[str]:
    """What is wrong with a text: with one of its commands, or with where it applies.

    Of a text that is no remedy, words that only look like a command are no fault.
    """
    found = [fault for command in commands(text) for fault in faults(command)]
    if not advises:
        return [fault for fault in found if "in no table of programs" not in fault]
    wrong_place = [
        f"{needed.group(0)} needs a condition: {' or '.join(traits)}"
        for pattern, traits in CONDITIONAL.items()
        if (needed := re.search(pattern, text, re.IGNORECASE)) and not text.startswith(tuple(f"{t}: " for t in traits))
    ]
    if re.search(r"make setup STACK=", text) and "torch" in text:
        wrong_place.append("no stack changes torch")
    return found + wrong_place + _wrong_client(text)


def _wrong_client(text: str) -> list[str]:
    """Commands of `hf` that a stack's client does not have; a step may name the stack behind a command."""
    found = []
    for command, of_stack in re.findall(r"\bhf ((?:auth|cache) [a-z]+|[a-z-]+)[^;()]*(?:\(stack (\w+)\))?", text):
        stacks = [of_stack] if of_stack else list(TABLES["hf"])
        lacking = [stack for stack in stacks if command not in TABLES["hf"][stack]["commands"]]
        found += [f"the client of stack {stack} has no command hf {command}" for stack in lacking]
    return found


def faults_of_a_requirement(step: str) -> list[str]:
    """What is wrong with a step of a requirement, which is read by somebody without dgxcert on the PATH."""
    found = faults_of(step)
    programs = {_program(command) for command in commands(step)}
    if "dgxcert" in programs:
        found.append("dgxcert is on nobody's PATH: name the target of make")
    if programs & {"python", "pip", "hf"} and "`make shell`" not in step:
        found.append("python and hf are those of `make shell`: name it")
    return found


@cache
def makefile() -> tuple[frozenset[str], frozenset[str]]:
    """Targets that `make help` lists, and variables that the Makefile reads."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z0-9-]+):.*##", text, re.MULTILINE)
    return frozenset(targets), frozenset(re.findall(r"\$\((?:if )?([A-Z_]+)[),]", text)) | {"PYTHON"}


def _make(words: list[str]) -> list[str]:
    targets, variables = makefile()
    wrong = [word for word in words if not ASSIGNMENT.match(word) and word not in targets and "{" not in word]
    names = [word.partition("=")[0] for word in words if ASSIGNMENT.match(word)]
    return [f"the Makefile has no target {word}" for word in wrong] + [
        f"the Makefile reads no variable {name}" for name in names if name not in variables
    ]


@cache
def options_of(command: str) -> frozenset[str] | None:
    """The options of a command of dgxcert; None where there is no such command."""
    found: typer.core.TyperCommand | typer.core.TyperGroup | None = typer.main.get_command(cli.app)  # type: ignore[assignment]
    for word in command.split():
        found = getattr(found, "commands", {}).get(word)
    return (
        None if found is None else frozenset(opt for each in found.params for opt in (*each.opts, *each.secondary_opts))
    )


def _dgxcert(words: list[str]) -> list[str]:
    if not words or words[0].startswith("-") or words[0] == "COMMAND":
        return []
    name = " ".join(words[:2]) if len(words) > 1 and options_of(" ".join(words[:2])) is not None else words[0]
    known = options_of(name)
    if known is None:
        return [f"dgxcert has no command {name}"]
    used = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
    return [f"dgxcert {name} has no option {option}" for option in used if option not in known | {"--help"}]


def _python(words: list[str]) -> list[str]:
    if words[:1] == ["-c"]:
        try:
            ast.parse(words[1])
        except (SyntaxError, IndexError) as error:
            return [f"this Python does not parse: {error}"]
    if words[:1] == ["-m"] and words[1] == "pip":
        return _pip(words[2:])
    if words[:1] == ["-m"] and words[1].startswith("dgxcert") and util.find_spec(words[1]) is None:
        return [f"there is no module {words[1]}"]
    return []


OF_PIP = ("-r", "-d")
"""Options of pip that are followed by a file or a folder."""


def _pip(words: list[str]) -> list[str]:
    if not words or words[0] not in TABLES["pip"]["commands"]:
        return [f"pip {' '.join(words[:1])} is no command that a remedy needs"]
    named = [word for option, word in pairwise(words) if option not in OF_PIP and not word.startswith("-")]
    names = [re.split(r"[\[<>=~! ]", word)[0] for word in named if "{" not in word]
    return [f"no package {name} is known" for name in names if name not in TABLES["pip"]["packages"]]


def _apt(words: list[str]) -> list[str]:
    action, names = (words or [""])[0], [word for word in words[1:] if not word.startswith("-")]
    if action not in TABLES["apt"]["commands"]:
        return [f"apt {action} is no command that a remedy needs"]
    known = {name for source in TABLES["apt"]["packages"].values() for name in source["names"]}
    return [f"no repository has a package {name}" for name in names if action == "install" and name not in known]


def _in_table(program: str):  # type: ignore[no-untyped-def]
    def judge(words: list[str]) -> list[str]:
        known = TABLES["words"][program]
        words = [word for word in words if word != "--user"]  # systemctl's, before the command
        used = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)] if known.get("options") else []
        wrong = [f"{program} has no option {word}" for word in used if word not in known["options"]]
        if "commands" in known and words and words[0] not in known["commands"] and not words[0].startswith("-"):
            wrong.append(f"{program} has no command {words[0]}")
        if "units" in known:
            units = [word for word in words[1:] if not word.startswith("-") and "*" not in word]
            wrong += [f"there is no unit {unit}" for unit in units if unit not in known["units"]]
        return wrong

    return judge


JUDGES = {
    "make": _make,
    "dgxcert": _dgxcert,
    "python": _python,
    "python3": _python,
    "pip": _pip,
    "apt": _apt,
    "apt-get": _apt,
    **{program: _in_table(program) for program in TABLES["words"]},
}
