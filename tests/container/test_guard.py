"""The guard of the image: NVIDIA's packages stay as they are, and a build that would change them fails by name."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT
from wheels import pin, wheel

from dgxcert.container import builder

NVIDIA = "2.10.0a0+b558c986e8.nv25.11"


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "container"))
    return importlib.import_module("guard")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A package index in a folder: NVIDIA's alpha of torch, the release, and a package that requires the release."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel(folder, "torch", NVIDIA)
    wheel(folder, "torch", "2.10.0")
    wheel(folder, "wants-torch", "1.0", requires="torch>=2.10")
    return folder


def resolve(index: Path, *options: str) -> subprocess.CompletedProcess[str]:
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--ignore-installed", "--no-index"]
    command = [*pip, f"--find-links={index}", *options, "wants-torch"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_constraints_pip_replaces_nvidias_alpha_which_sorts_below_its_release(index: Path) -> None:
    done = resolve(index)
    assert done.returncode == 0
    assert "torch-2.10.0 " in done.stdout.replace("\n", " ") + " "


def test_with_the_guards_constraints_pip_refuses(guard: ModuleType, index: Path, tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(guard.constraints({"torch": NVIDIA, "requests": "2.0"}), encoding="utf-8")
    done = resolve(index, f"--constraint={constraints}")
    assert done.returncode != 0
    assert "ResolutionImpossible" in done.stderr
    assert "wants-torch" in done.stderr


def test_only_nvidias_packages_are_pinned(guard: ModuleType) -> None:
    packages = {"torch": NVIDIA, "numpy": "2.1.0", "nvidia-cublas": "13", "flash-attn": "2.7", "transformers": "4"}
    assert guard.constraints(packages) == f"flash-attn==2.7\nnumpy==2.1.0\nnvidia-cublas==13\ntorch=={NVIDIA}\n"


def test_an_unchanged_base_has_no_complaint(guard: ModuleType) -> None:
    base = guard.Base(NVIDIA, "abc", {"torch": NVIDIA}, ["old 1 requires older"])
    assert guard.complaints(base, {"torch": NVIDIA, "peft": "0.18.1"}, "abc", ["old 1 requires older"]) == []


@pytest.mark.parametrize(
    ("packages", "torch_sha256", "conflicts", "complaint"),
    [
        ({"torch": "2.10.0"}, "abc", [], "torch was 2.10.0a0+b558c986e8.nv25.11 in the base image and is 2.10.0 now"),
        ({}, "abc", [], "and is missing now"),
        ({"torch": NVIDIA}, "other", [], "files of torch"),
        ({"torch": NVIDIA}, "abc", ["wants-torch 1.0 has requirement torch>=2.10"], "new conflict: wants-torch 1.0"),
        ({"torch": NVIDIA, "peft": "0.21.2", "torchao": "0.14.0+git"}, "abc", [], "refuses to attach LoRA"),
    ],
)
def test_a_harmful_change_is_named(
    guard: ModuleType, packages: dict[str, str], torch_sha256: str, conflicts: list[str], complaint: str
) -> None:
    base = guard.Base(NVIDIA, "abc", {"torch": NVIDIA}, [])
    assert any(complaint in line for line in guard.complaints(base, packages, torch_sha256, conflicts))


@pytest.mark.parametrize(
    ("peft", "torchao", "in_the_way"),
    [
        ("0.18.1", "0.14.0+git", False),
        ("0.19.1", "0.14.0+git", True),
        ("0.21.2", "0.17.0", False),
        ("0.21.2", "", False),
    ],
)
def test_a_torchao_that_is_too_old_for_peft_is_in_the_way(
    guard: ModuleType, peft: str, torchao: str, in_the_way: bool
) -> None:
    packages = {"peft": peft, **({"torchao": torchao} if torchao else {})}
    assert guard.torchao_in_the_way(packages) is in_the_way


def test_only_torchao_may_be_removed(guard: ModuleType) -> None:
    base = guard.Base(NVIDIA, "abc", {"torch": NVIDIA, "torchao": "0.14.0+git"}, [])
    assert guard.complaints(base, {"torch": NVIDIA, "peft": "0.21.2"}, "abc", []) == []


def test_a_base_that_is_not_nvidias_is_refused(guard: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no NVIDIA PyTorch image"):
        guard.wanted_tag({})
    assert guard.wanted_tag({"NVIDIA_PYTORCH_VERSION": "25.11"}) == "nv25.11"


def test_one_changed_byte_of_torch_changes_its_hash(guard: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libtorch.so").write_bytes(b"weights")
    before = guard.hash_of_torch(tmp_path)
    (tmp_path / "lib" / "libtorch.so").write_bytes(b"weighty")
    assert guard.hash_of_torch(tmp_path) != before


@pytest.fixture
def install(guard: ModuleType, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Installs a lock by the guard with the real pip, as a dry run; returns the message that ends the build."""
    settings = {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(index), "IGNORE_INSTALLED": "1"}
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in (settings | {"DRY_RUN": "1"}).items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setattr(guard, "HERE", tmp_path)

    def install_lock(*lock: str, base: dict[str, str] | None = None) -> str:
        (tmp_path / "constraints.txt").write_text(guard.constraints(base or {}), encoding="utf-8")
        (tmp_path / "stack.lock").write_text("".join(lock), encoding="utf-8")
        try:
            guard.install(tmp_path / "stack.lock")
        except SystemExit as ended:
            return str(ended.code)
        return ""

    return install_lock


def pinned(index: Path, requirement: str) -> str:
    """The line of a lock for a wheel of the index."""
    name, _, version = requirement.partition("==")
    return pin(index / f"{name.replace('-', '_')}-{version}-py3-none-any.whl")


def tampered(line: str) -> str:
    """The same line with the hash of some other file."""
    return re.sub(r"[0-9a-f]{64}", "0" * 64, line)


def failed(*findings: str) -> str:
    """The message of an installation that failed."""
    return "\n".join(
        ["guard: FAILED the stack could not be installed:", *(f"guard| {finding}" for finding in findings)]
    )


TAMPERED = "does not have the hash that the lock pins: the lock or the package index was tampered with"
MISSING = "could not be downloaded from the package index: no such file there, or no network"
NOT_THE_BASES = "is not the version that the base image holds, which must stay as NVIDIA built it"


def test_a_lock_that_fits_the_base_is_installed(index: Path, install: Callable[..., str]) -> None:
    """A package that requires another torch is installed without its dependencies; `after` judges the conflict."""
    assert install(pinned(index, "wants-torch==1.0"), base={"torch": NVIDIA}) == ""


def test_a_package_that_was_tampered_with_is_named_once_however_many_hashes_are_pinned(
    index: Path, install: Callable[..., str]
) -> None:
    torch = f"{tampered(pinned(index, 'torch==2.10.0')).rstrip()} --hash=sha256:{'1' * 64}"
    message = install(pinned(index, "wants-torch==1.0"), torch)
    assert message == failed(f"torch==2.10.0 {TAMPERED}")


def test_a_package_that_the_index_does_not_have_is_named_once(install: Callable[..., str]) -> None:
    assert install(f"peft==0.18.1 --hash=sha256:{'0' * 64}") == failed(f"peft==0.18.1 {MISSING}")


def test_a_lock_that_would_change_a_package_of_the_base_is_refused_by_name(
    index: Path, install: Callable[..., str]
) -> None:
    message = install(pinned(index, "wants-torch==1.0"), pinned(index, "torch==2.10.0"), base={"torch": NVIDIA})
    assert message == failed(f"torch==2.10.0 {NOT_THE_BASES}")


def test_a_lock_without_hashes_is_not_installed(install: Callable[..., str]) -> None:
    message = install("wants-torch==1.0")
    assert message.startswith("guard: FAILED the stack could not be installed:\nguard| ")
    assert "wants-torch==1.0" in message


MARKER = " ; python_version >= '3.8' --hash"


def test_a_version_that_the_index_does_not_have_is_named(index: Path, install: Callable[..., str]) -> None:
    assert install(pinned(index, "torch==2.10.0").replace("2.10.0", "2.10.1")) == failed(f"torch==2.10.1 {MISSING}")


def test_a_package_for_another_platform_only_is_missing(index: Path, install: Callable[..., str]) -> None:
    wheel(index, "peft", "0.18.1").rename(index / "peft-0.18.1-cp27-cp27m-win32.whl")
    assert install(pin(index / "peft-0.18.1-cp27-cp27m-win32.whl")) == failed(f"peft==0.18.1 {MISSING}")


@pytest.mark.parametrize(
    ("change", "base", "finding"),
    [
        (tampered, {}, TAMPERED),
        (lambda line: line.replace("2.10.0 ", "2.10.1 "), {}, MISSING),
        (str, {"torch": NVIDIA}, NOT_THE_BASES),
    ],
    ids=["tampered", "missing", "not the base's"],
)
def test_a_pin_with_a_marker_is_named_without_it(
    index: Path, install: Callable[..., str], change: Callable[[str], str], base: dict[str, str], finding: str
) -> None:
    """As in a lock: `pandas==3.1.1 ; python_full_version < '3.14'`."""
    line = change(pinned(index, "torch==2.10.0"))
    assert install(line.replace(" --hash", MARKER), base=base) == failed(f"{line.split()[0]} {finding}")


def test_a_pin_for_other_pythons_is_ignored(index: Path, install: Callable[..., str]) -> None:
    line = tampered(pinned(index, "torch==2.10.0")).replace(" --hash", MARKER)
    assert install(line.replace(">=", "<"), base={"torch": NVIDIA}) == ""


def test_the_guards_constraints_replace_those_of_the_base_which_have_no_hashes(
    index: Path, install: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base.txt").write_text("wants-torch==0.9\n", encoding="utf-8")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "base.txt"))
    assert install(pinned(index, "wants-torch==1.0")) == ""


def test_a_build_shows_the_output_of_pip_and_then_only_the_cause(
    index: Path, install: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    line = pinned(index, "torch==2.10.0")
    message = install(pinned(index, "wants-torch==1.0"), tampered(line))
    shown = capfd.readouterr().out
    assert shown.index("wants_torch-1.0") < shown.index("Expected sha256 0000")
    assert line.rpartition(":")[2].strip() in shown, "the actual hash, for the investigation"
    log = [f"#9 1.234 {printed}" for printed in (shown + message).splitlines()]
    assert builder.explain([*log, "#9 ERROR: exit code: 1"]) == (
        f"guard: the stack could not be installed; torch==2.10.0 {TAMPERED}"
    )


def test_the_build_ends_with_the_guards_message_and_an_error_code() -> None:
    call = "import guard; guard.fail('the stack could not be installed', ['peft is missing', 'torch was replaced'])"
    command = [sys.executable, "-B", "-c", call]
    done = subprocess.run(command, cwd=ROOT / "container", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == failed("peft is missing", "torch was replaced") + "\n"


def test_an_unknown_message_of_pip_is_shown_unchanged(guard: ModuleType) -> None:
    assert guard.explain(["Collecting peft", "ERROR: [Errno 28] No space left on device", ""]) == [
        "ERROR: [Errno 28] No space left on device"
    ]
    assert guard.explain([]) == ["pip printed nothing"]
    assert guard.explain(["", "  "]) == ["pip printed nothing"]


def test_all_of_several_problems_are_named(guard: ModuleType) -> None:
    lines = [
        "ERROR: Cannot install torch==2.10.0 and torch==2.11.0 because these package versions have conflicting "
        "dependencies.",
        "ERROR: No matching distribution found for peft==0.18.1",
    ]
    duplicate = "torch==2.10.0 is in the lock in more than one version; lock again: make lock"
    assert guard.explain(lines) == [f"peft==0.18.1 {MISSING}", duplicate]
    lines.append("    The user requested (constraint) torch==2.10.0a0")
    assert guard.explain(lines) == [f"peft==0.18.1 {MISSING}", f"torch==2.10.0 {NOT_THE_BASES}"]


def test_a_pin_without_its_hash_is_named(guard: ModuleType) -> None:
    lines = [
        "ERROR: Hashes are required in --require-hashes mode, but they are missing from some requirements. Here is a "
        "list of those requirements along with the hashes their downloaded archives actually had.",
        f"    torch==2.10.0 --hash=sha256:{'0' * 64}",
    ]
    assert guard.explain(lines) == ["torch==2.10.0 is in the lock without its hash; lock again: make lock"]


def test_the_builder_reads_a_failure_and_its_findings(guard: ModuleType) -> None:
    with pytest.raises(SystemExit) as ended:
        guard.fail("the stack does not fit this base image", ["torch was 2 and is 3", "numpy is missing"])
    lines = [f"#9 1.234 {line}" for line in str(ended.value.code).splitlines()]
    assert builder.explain([*lines, "#9 ERROR: exit code: 1"]) == (
        "guard: the stack does not fit this base image; torch was 2 and is 3; numpy is missing"
    )
