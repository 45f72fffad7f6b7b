"""A stack with a package replaced, removed, downgraded, shadowed, edited or built for another CUDA: each is named.

pip and file edits break one temporary copy of this environment; the real checks judge it.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import missing
from wheels import wheel

from dgxcert import command
from dgxcert.probes.stack import lockfile

ROOT = Path(__file__).parents[2]
OLDER = "safetensors==0.6.2"


def run(args: list[str], cwd: Path, **variables: str) -> command.Completed:
    """Run a command with more environment variables."""
    return command.run(args, timeout_s=240, cwd=cwd, env={**os.environ, **variables})


def judge(python: Path, folder: Path, *options: str) -> command.Completed:
    """Run the real checks of the stack in an environment, for a user who works in a folder."""
    pytest_call = [str(python), "-P", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--profile", "cpu", *options]
    return run(pytest_call, ROOT, DGXCERT_STARTED_IN=str(folder))


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    """The Python of a copy of this environment; a file is a hard link until it is replaced."""
    if not (Path(sys.prefix) / lockfile.NATIVE).is_file():
        missing(f"the lock of the stack in {sys.prefix}", "Set it up: make setup")
    folder = Path(tempfile.mkdtemp(prefix=".venv-broken-", dir=Path(sys.prefix).parent))
    shutil.copytree(sys.prefix, folder, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
    yield folder / "bin" / "python"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def broken(python: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of the checks for a stack with seven problems at once."""
    work, wheels = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("wheels")
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q"]
    broken_import = {"accelerate/__init__.py": "raise ImportError('broken')\n"}
    replaced = wheel(wheels, "accelerate", "1.12.0.post1", files=broken_import)
    cuda = wheel(wheels, "torch", "2.13.0+cu126", files={"torch/version.py": "cuda = '12.6'\n"})
    for args in (
        ["uninstall", "-y", "evaluate"],
        ["install", "--no-deps", OLDER],
        ["install", "--no-deps", "--force-reinstall", str(replaced), str(cuda)],
    ):
        done = run([*pip, *args], work)
        assert done.returncode == 0, done.complaint
    (work / "datasets.py").write_text("# a user's notebook\n")
    edited = site / "peft" / "__init__.py"
    text = edited.read_text(encoding="utf-8") + "\nprint('edited')\n"
    edited.unlink()  # the file is shared with the environment that it was copied from
    edited.write_text(text, encoding="utf-8")
    shutil.copytree(next(site.glob("transformers-*.dist-info")), site / "transformers-4.0.0.dist-info")
    metadata = (site / "transformers-4.0.0.dist-info" / "METADATA").read_text(encoding="utf-8")
    older = re.sub(r"^Version: .*$", "Version: 4.0.0", metadata, count=1, flags=re.MULTILINE)
    (site / "transformers-4.0.0.dist-info" / "METADATA").unlink()
    (site / "transformers-4.0.0.dist-info" / "METADATA").write_text(older, encoding="utf-8")
    checks = ("checks/stack/test_packages.py", "checks/stack/test_imports.py")
    return judge(python, work, *checks, "-k", "test_packages or evaluate or accelerate").stdout


def test_an_unchanged_copy_passes(python: Path, tmp_path: Path) -> None:
    checks = judge(python, tmp_path, "checks/stack/test_packages.py")
    assert checks.returncode == 0, checks.stdout[-2000:]


@pytest.mark.parametrize(
    "finding",
    [
        r"packages in another version is .*safetensors: found 0\.6\.2, expected ",  # downgraded
        r"packages in another version is .*evaluate: found nothing, expected 0\.4\.6",  # removed
        r"packages in another version is .*accelerate: found 1\.12\.0\.post1, expected ",  # replaced
        r"packages in another version is .*torch: found 2\.13\.0\+cu126, expected ",  # for another CUDA
        r"packages installed twice is .*transformers: found (4\.0\.0 in|\S+ in).* and .*expected one",  # half updated
        r"packages hidden by a file is .*datasets: found \S+/datasets\.py, expected ",  # shadowed
        r"altered packages is .*peft: found another \S+peft/__init__\.py, expected the files that were",  # edited
        r"evaluate imports is False.*\n.*evaluate is not installed",
        r"accelerate imports is False.*\n.*ImportError: broken",
    ],
)
def test_each_problem_of_a_stack_is_named_with_found_and_expected(broken: str, finding: str) -> None:
    assert re.search(finding, broken), broken[-6000:]


def test_the_command_that_fixes_the_stack_is_named(broken: str) -> None:
    assert re.search(r"^\d\. In the checkout, restore what was changed.*: make setup", broken, re.MULTILINE), broken[
        -6000:
    ]
