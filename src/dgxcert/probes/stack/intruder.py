"""Intruders: the package beside the lock that an error comes from, by the error's words and by the files it passed.

A library that meets a foreign package of a wrong version raises an error of its own: peft's names torchao, that of
torch names an operator of torchvision. The remedy is that package, and not the library that raised.
"""

import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dgxcert.outcome import DgxcertError, Wrong
from dgxcert.probes.stack import beside
from dgxcert.probes.stack.placement import Package

ORDINARY = frozenset({"kernels", "apex", "click", "rich", "six", "test", "tests", "docs", "src", "utils", "scripts"})
"""Names that are words of error messages as well: only a file in the traceback, or a quoted name, points to them."""
NOT_THEIRS = ("CUDA error", "CUDA out of memory", "No space left on device", "Cannot allocate memory")
"""Errors of the machine, which pass through whatever code is running."""
FILE = re.compile(r'^\s*File "([^"]+)", line \d+', re.MULTILINE)


@contextmanager
def named() -> Iterator[None]:
    """Raise Wrong with the package beside the lock that an exception comes from, and with what removes it.

    Any other exception passes unchanged. As a decorator it serves a whole workload.
    """
    try:
        yield
    except DgxcertError:
        raise
    except Exception as error:
        guilty = of_error(error, beside.of_this_environment())
        if guilty is None:
            raise
        raise Wrong(problem(f"{type(error).__name__}: {first_line(error)}", guilty), *guilty.removal) from error


def problem(error: str, guilty: Package) -> str:
    """An error with the package that it comes from, in one sentence."""
    return f"{error} (the cause is {guilty}, which is not part of this stack)"


def of_error(error: BaseException, found: Iterable[Package]) -> Package | None:
    """The package beside the lock that an exception, or one that led to it, comes from; None where none is seen."""
    words, files = [], []
    for cause in _chain(error):
        words.append(str(cause))
        files += [frame.filename for frame in traceback.extract_tb(cause.__traceback__)]
    return suspect("\n".join(words), files, found)


def of_output(output: str, found: Iterable[Package]) -> Package | None:
    """The package beside the lock that the traceback in a program's output comes from; None where none is seen."""
    lines = [line for line in output.splitlines() if line and not line.startswith((" ", "Traceback "))]
    return suspect("\n".join(lines[-8:]), FILE.findall(output), found)


def suspect(words: str, files: list[str], found: Iterable[Package]) -> Package | None:
    """The package that an error's message names, else the one whose file is the deepest of its traceback.

    >>> from dgxcert.probes.stack.placement import Place
    >>> torchao = Package("torchao", "0.15.0", "/site", Place.ENVIRONMENT, "pip", ("torchao",))
    >>> suspect("Found an incompatible version of torchao.", ["/site/peft/import_utils.py"], [torchao]).name
    'torchao'
    >>> suspect("no such operator", ["/site/torchao/ops.py", "/site/torch/library.py"], [torchao]).version
    '0.15.0'
    >>> suspect("no such operator", ["/site/torch/library.py"], [torchao])
    """
    if any(each in words for each in NOT_THEIRS):
        return None
    packages = list(found)
    for file in reversed(files):
        for package in packages:
            if _owns(package, file):
                return package
    return next((package for package in packages if _names(words, package)), None)


def _names(words: str, package: Package) -> bool:
    """Whether a message names a package or a module of it."""
    for name in {package.name, package.name.replace("-", "_"), *package.modules}:
        word = re.escape(name)
        pattern = rf"['\"`]{word}\b" if name in ORDINARY else rf"(?<![\w/.-]){word}(?![\w-])"
        if re.search(pattern, words, re.IGNORECASE):
            return True
    return False


def _owns(package: Package, file: str) -> bool:
    """Whether a file belongs to a module of a package."""
    folder = Path(package.folder)
    try:
        first = Path(file).relative_to(folder).parts[0]
    except (ValueError, IndexError):
        return False
    return first.partition(".")[0] in package.modules


def _chain(error: BaseException) -> list[BaseException]:
    """The error and those that led to it, the latest first."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    return chain


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 300 characters of it."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"
