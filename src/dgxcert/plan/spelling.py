"""How a command is spelled: `make validate ONLY=X` in a checkout, `dgxcert validate --only X` for an installed wheel.

Remedies name targets of make. A record keeps them as they are declared; what is shown of a run is spelled for the place
where it was made. Pure, but for the question whether this is a wheel.
"""

import re

from dgxcert.plan import suite

TARGETS = {
    "quick": "validate --tier quick",
    "burn-in": "validate --tier burn-in",
    "rehearse": "validate --profile cpu",
    "room": "room run",
}
"""Targets that are a command with options; most others are the command of their name."""

ONLY_IN_A_CLONE = re.compile(
    r"(bench|test)(-.*)?|environment|check|(fault|hub)-matrix|attack|mutation|lint|audit|docs|lock|tokenizer|clean|help"
    r"|wheel|uninstall|measure-gpu|interpreter"
)
"""Targets for whoever works on dgxcert itself."""
IN_A_CLONE = " (in a clone of dgxcert)"

OPTIONS = {"BASE_IMAGE": "base", "NO_BUILD": "no-build", "SIGNERS": "allowed-signers"}
"""Variables whose option has another name; `ONLY` is `--only`."""
OPTIONS_OF = {"image": {"IMAGE": "name"}}
FLAGS = {"NO_BUILD", "KEEP"}
ARGUMENTS = ("WITH", "RUN", "RUNS", "FILE", "MACHINE", "ROOM")
"""Variables that stand after a command by themselves, in this order."""
ARGUMENTS_OF = {"site": ("RESULTS",)}
DROPPED = {"VENV", "TORCH", "PYTHON"}
"""Variables of the checkout's own environment."""

VALUE = r"(?:'[^']*'|\"[^\"]*\"|[^\s`'\";]*[^\s`'\"().,;:])"
WRITTEN = re.compile(rf"(?P<pull>git pull && )?\bmake (?P<target>[a-z][a-z0-9-]*)(?P<given>(?: [A-Z_]+={VALUE})*)")
ENGLISH = {"it", "sure", "them", "a", "an", "the", "one", "that", "two", "its", "what", "up", "none"}
"""Words after which `make` is the verb of a sentence."""
NEWER = "dgxcert setup"
"""Says how a newer wheel is installed."""
ASSIGNMENT = re.compile(rf"(?<![\w=])(?P<name>BASE_IMAGE|IMAGE|PROFILE|RUNTIME)=(?P<value>{VALUE})")
"""A variable that a sentence names without its target, such as `or name another image: IMAGE=NAME`."""
IN_THE_CHECKOUT = re.compile(r"In the checkout, (\w)")

COMMAND = re.compile(r"(?:(?<=: )|(?<=`))dgxcert (?=[a-z-])")
"""Where the words for somebody who types dgxcert begin a command."""
NAMES = {**{option: name for name, option in OPTIONS.items()}, "dry-run": "DRY_RUN"} | {
    name.lower(): name
    for name in (
        *("CHECKS", "IMAGE", "KEEP", "KEY", "MINUTES", "ONLY", "OUT", "PROFILE", "REPO", "RESULTS", "RESUME"),
        *("RUNTIME", "SITE", "STACK", "TIER", "TYPE", "WAIVERS", "WEIGHTS", "WHO", "WRITE"),
    )
}
"""The variable of make for each option that has one."""
GIVEN = re.compile(rf"(?<![\w-])--(?P<option>{'|'.join(NAMES)})(?![\w-])")
SET_TO = re.compile(
    rf"(?:(?<=Add )|(?<=: )){GIVEN.pattern} (?=[\w~/])|(?<=with ){GIVEN.pattern.replace('<option>', '<to>')}"
)
"""An option that is to be given, which make's variable is with a `=`."""


def spelled(text: str, *, installed: bool | None = None) -> str:
    """A text with each target of make as the command of an installed dgxcert, or as it is in a checkout.

    `installed` says which of the two; without it, that of this process.

    >>> spelled("Run it again: make validate ONLY='GPU-CUDA' RUNTIME=docker.", installed=True)
    "Run it again: dgxcert validate --only 'GPU-CUDA' --runtime docker."
    >>> spelled("Let it prove itself: make burn-in MINUTES=60", installed=True)
    'Let it prove itself: dgxcert validate --tier burn-in --minutes 60'
    >>> spelled("Build it: make image", installed=False)
    'Build it: make image'
    """
    if not (suite.is_installed() if installed is None else installed):
        return text
    anywhere = IN_THE_CHECKOUT.sub(lambda match: match[1].upper(), text)
    return ASSIGNMENT.sub(_option, WRITTEN.sub(_command, anywhere))


def for_make(text: str, program: str) -> str:
    """An error for somebody who typed `make`: its variables in place of options, and `program` as a shell finds it.

    >>> for_make("--only: nothing is called 'A'. `dgxcert list` shows all.", ".venv/bin/dgxcert")
    "ONLY: nothing is called 'A'. `.venv/bin/dgxcert list` shows all."
    >>> for_make("results is not a folder. Name another with --results.", "dgxcert")
    'results is not a folder. Name another with RESULTS=.'
    >>> for_make("a is not signed. Sign it: dgxcert sign a --key KEY", ".venv/bin/dgxcert")
    'a is not signed. Sign it: .venv/bin/dgxcert sign a --key KEY'
    """
    command = COMMAND.search(text)
    at = command.start() if command else len(text)
    before = SET_TO.sub(lambda match: f"{NAMES[match['option'] or match['to']]}=", text[:at])
    before = GIVEN.sub(lambda match: NAMES[match["option"]], before)
    return before + COMMAND.sub(lambda _: f"{program} ", text)[at:]


def _command(match: re.Match[str]) -> str:
    target, given = match["target"], match["given"]
    if target in ENGLISH:
        return match[0]
    if match["pull"]:
        return NEWER
    if ONLY_IN_A_CLONE.fullmatch(target):
        return match[0] if match.string[match.end() :].startswith(IN_A_CLONE) else match[0] + IN_A_CLONE
    pairs = re.findall(rf"([A-Z_]+)=({VALUE})", given)
    alone = (*ARGUMENTS, *ARGUMENTS_OF.get(target, ()))
    arguments = [value for name in alone for key, value in pairs if key == name]
    options = [_words(name, value, target) for name, value in pairs if name not in {*alone, *DROPPED}]
    return " ".join(["dgxcert", TARGETS.get(target, target), *arguments, *options])


def _words(name: str, value: str, target: str = "") -> str:
    option = {**OPTIONS, **OPTIONS_OF.get(target, {})}.get(name) or name.lower().replace("_", "-")
    return f"--{option}" if name in FLAGS else f"--{option} {value}"


def _option(match: re.Match[str]) -> str:
    return _words(match["name"], match["value"])
