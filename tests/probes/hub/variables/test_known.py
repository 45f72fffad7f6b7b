"""The table of variables is what the installed packages read: a new version that reads another one is noticed."""

import ast
import re
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

import pytest

from dgxcert.probes.hub.variables import known
from dgxcert.probes.hub.variables.known import Kind

ABOUT_THE_HUB = re.compile(r"HF_|HUGGING|TRANSFORMERS_|DATASETS_|PYTORCH_(PRETRAINED|TRANSFORMERS)|XDG_")
"""Of transformers and datasets, which read much else: USE_TORCH, SM_NUM_GPUS, ..."""
READS = re.compile(r"environ|getenv")
HTTPX_PACKAGES = (("httpx", "httpcore"), ("httpx2", "httpcore2"))
NO_SETTINGS = {"SSLKEYLOGFILE", "OVERRIDE_GATEWAY"}


def folder_of(package: str) -> Path:
    spec = util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(spec.origin).parent


def read_in(package: str) -> set[str]:
    """The names with which a package's sources read the environment."""
    sources = (file.read_text(encoding="utf-8", errors="replace") for file in folder_of(package).rglob("*.py"))
    return {name for source in sources if READS.search(source) for name in _names(ast.parse(source))}


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        key: ast.expr | None = None
        if isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            key = node.args[0] if called.endswith(("environ.get", "getenv", "environ.setdefault")) else None
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("os.environ"):
            key = node.slice
        elif isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]).endswith("os.environ"):
            key = node.left
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value


def major(package: str) -> int:
    return int(metadata.version(package).split(".")[0])


def listed(package: str) -> set[str]:
    """What the table says that the installed version of a package reads."""
    table = known.by_reader()
    names = set(table[package])
    if package == known.HUB:
        names |= set(table[f"{package}<1" if major(package) < 1 else f"{package}>=1"])
    if package == known.TRANSFORMERS:
        names |= set(table[f"{package}<5" if major(package) < 5 else f"{package}>=5"])
    return names


def test_table_names_what_huggingface_hub_reads() -> None:
    assert read_in("huggingface_hub") == listed(known.HUB)


@pytest.mark.parametrize("package", [known.DATASETS, known.TRANSFORMERS])
def test_table_names_what_the_libraries_read_about_the_hub(package: str) -> None:
    assert {name for name in read_in(package) if ABOUT_THE_HUB.match(name)} == listed(package)


def test_table_names_what_requests_reads() -> None:
    assert read_in("requests") - NO_SETTINGS == listed(known.REQUESTS)


def test_table_names_what_httpx_reads() -> None:
    package, core = next(pair for pair in HTTPX_PACKAGES if util.find_spec(pair[0]))
    assert (read_in(package) | read_in(core)) - NO_SETTINGS == listed(known.HTTPX)


def test_table_names_what_hf_xet_reads() -> None:
    """The names stand one after another in the library: each run of letters must be made of names in the table."""
    library = next(folder_of("hf_xet").glob("*.so")).read_bytes()
    names = sorted((name for name in known.kinds() if name.isupper()), key=len, reverse=True)
    one = "|".join(names)
    runs = {match.group().decode() for match in re.finditer(rb"HF_[A-Z0-9_]+", library)}
    unknown = [run for run in runs for part in re.split(r"(?=HF_)", run) if part and not re.match(one, part)]
    assert len(runs) > 20
    assert unknown == []
    shorter = {part for run in runs for part in re.split(r"(?=HF_)", run) if part}
    rest = {part: re.sub(rf"^(?:{one})+", "", part) for part in shorter}
    # Behind the last name of a run another string may begin, of at most a few capital letters.
    assert {part: left for part, left in rest.items() if "_" in left or len(left) > 8} == {}
    missing = {name for name in listed(known.XET) if name.encode() not in library}
    assert missing == set()


def test_kind_of_each_number_is_the_clients_own() -> None:
    """A value that the client parses with `int` or `float` at import is one in the table, and no other is."""
    constants = (folder_of("huggingface_hub") / "constants.py").read_text(encoding="utf-8")
    whole = set(re.findall(r"_as_int\(os\.environ\.get\(\"(\w+)\"\)\)", constants))
    flags = set(re.findall(r"_is_true\(os\.environ\.get\(\"(\w+)\"\)", constants))
    kinds = known.kinds()
    assert whole == {name for name in listed(known.HUB) if kinds[name] is Kind.WHOLE}
    assert {kinds[name] for name in flags} == {Kind.FLAG}


def test_true_values_are_the_clients_own() -> None:
    from huggingface_hub import constants

    from dgxcert.probes.hub import settings

    assert settings.TRUE == constants.ENV_VARS_TRUE_VALUES
