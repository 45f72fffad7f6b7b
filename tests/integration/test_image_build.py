"""The image, built from the real Dockerfile: what must not be in it is not, and what goes wrong is named.

The stack is a small one, so that each build takes seconds; the real stacks are built by the rehearsal in CI.
"""

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Checkout
from wheels import Index, pin, served, wheel

from dgxcert.container import builder, engine
from dgxcert.machine import image
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart

PASSWORD = "between-us-and-the-index-7f3a"
REFERENCE = "dgxcert-test:build"


@pytest.fixture(scope="module")
def index(tiny_lock: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """A private package index: the small stack's own packages, and some that mean harm."""
    folder = tmp_path_factory.mktemp("index")
    lock = folder / "tiny.lock"
    lock.write_text(tiny_lock, encoding="utf-8")
    packages = folder / "packages"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(packages)]
    subprocess.run([*command, "--python-version=3.11", "-r", str(lock)], check=True)
    wheel(packages, "wants-torch", "1.0", requires="torch>=2.10")
    wheel(packages, "torch", "2.10.0")
    wheel(packages, "paints-torch", "1.0", files={"torch/version.py": "__version__ = '2.10.0'\n"})
    (folder / "private").mkdir()
    with served(packages, folder / "private", "staff", PASSWORD) as running:
        yield running


@pytest.fixture
def packages(index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index.authority.parents[1] / "packages"


@pytest.fixture
def at_private_index(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """Whoever builds has set up the private index as pip wants it."""
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {index.url}\n", encoding="utf-8")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_CERT", str(index.authority))
    return index


@pytest.fixture
def private_build(
    at_private_index: Index, checkout: Checkout, standin: str, tiny_lock: str
) -> tuple[Image, list[str], Index]:
    checkout.lock(
        "tiny", f"{tiny_lock}# {at_private_index.url.rpartition(':')[2]}: never built before\n"
    )  # so that nothing is reused
    return (*checkout.build("dgxcert-test:private", "tiny", standin), at_private_index)


def test_an_image_from_a_private_index_keeps_nothing_of_it(
    private_build: tuple[Image, list[str], Index], docker: str, tmp_path: Path
) -> None:
    made, lines, index = private_build
    assert any(path.startswith("/files/") for path in index.requested), "the index was not used: was all cached?"
    authority = "".join(index.authority.read_text(encoding="utf-8").splitlines()[1:4])
    address = index.url.rpartition("@")[2].removesuffix("/simple")
    secrets = [word.encode() for word in (PASSWORD, address, authority[:64])]
    assert PASSWORD not in "\n".join(lines)
    with subprocess.Popen([docker, "save", made.id], stdout=subprocess.PIPE, env=engine.environment()) as saving:
        searched, found = search(saving, secrets)
    assert found == []
    assert sum(name.endswith("layer.tar") or name.startswith("blobs/") for name in searched) >= 5
    assert any(name.endswith(".json") or name.startswith("blobs/") for name in searched)


def search(saving: "subprocess.Popen[bytes]", words: list[bytes]) -> tuple[list[str], list[str]]:
    """Every file of a saved image, and those in which one of the words stands."""
    searched, found = [], []
    with tarfile.open(fileobj=saving.stdout, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            searched.append(member.name)
            before = b""
            while chunk := file.read(1 << 22):
                found += [f"{word!r} in {member.name}" for word in words if word in before + chunk]
                before = chunk[-max(map(len, words)) :]
    return searched, found


def test_the_search_finds_what_was_left_behind(docker: str, tmp_path: Path) -> None:
    """The search itself can fail: a secret in a layer is seen."""
    (tmp_path / "pip.conf").write_text(f"password = {PASSWORD}", encoding="utf-8")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY pip.conf /left-behind\n", encoding="utf-8")
    args = [docker, "build", "-q", "-t", "dgxcert-test:careless", str(tmp_path)]
    subprocess.run(args, env=engine.environment(), check=True, capture_output=True)
    with subprocess.Popen([docker, "save", "dgxcert-test:careless"], stdout=subprocess.PIPE) as saving:
        _, found = search(saving, [PASSWORD.encode()])
    assert any("layer" in name or "blobs" in name for name in found)


def test_the_image_says_what_it_was_made_from(
    private_build: tuple[Image, list[str], Index], standin: str, docker: str, checkout: Checkout
) -> None:
    made, _, _ = private_build
    inspected = json.loads(engine.run("image", "inspect", made.id).stdout)[0]["Config"]
    labels = inspected["Labels"]
    base = builder.find(standin)
    assert base is not None
    assert labels[image.LABEL_BASE_DIGEST] == base.id
    assert re.fullmatch(r"[0-9a-f]{64}", labels[image.LABEL_LOCK])
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert image.LABEL_COMMIT in labels
    assert inspected["User"] == "1000:1000"


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("wants-torch", "wants-torch 1.0 has requirement torch>=2.10"),
        ("torch", "torch==2.10.0 is not the version that the base image holds"),
        ("paints-torch", "the files of torch .* are no longer those of the base image"),
    ],
)
def test_a_package_that_would_replace_nvidias_torch_fails_the_build_by_name(
    at_private_index: Index, packages: Path, checkout: Checkout, standin: str, tiny_lock: str, package: str, said: str
) -> None:
    (path,) = packages.glob(f"{package.replace('-', '_')}-*.whl")
    checkout.lock("harmful", tiny_lock + pin(path))
    with pytest.raises(CannotStart, match=f"could not be built: guard: .*{said}"):
        checkout.build(REFERENCE, "harmful", standin)


def test_a_tampered_hash_in_the_lock_fails_the_build_by_name(
    checkout: Checkout, standin: str, tiny_lock: str, at_private_index: Index
) -> None:
    entry = re.search(r"^rich==(\S+)(?:.*\n)+?(?=^\S)", tiny_lock, re.MULTILINE)
    assert entry is not None
    tampered = re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", entry.group())
    checkout.lock("tampered", tiny_lock.replace(entry.group(), tampered))
    with pytest.raises(CannotStart, match=f"guard: .*rich=={entry.group(1)} does not have the hash that the lock pins"):
        checkout.build(REFERENCE, "tampered", standin)


def test_a_build_without_a_network_fails_by_the_package_that_it_could_not_have(
    checkout: Checkout, standin: str, tiny_lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = re.search(r"^([a-z0-9-]+==\S+)", tiny_lock, re.MULTILINE)
    assert first is not None
    checkout.lock("cut-off", f"{tiny_lock}# not in any cache\n")
    monkeypatch.setenv("BUILD_NETWORK", "none")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    said = f"guard: .*{re.escape(first.group(1))} could not be downloaded from the package index: .*no network"
    with pytest.raises(CannotStart, match=said):
        checkout.build(REFERENCE, "cut-off", standin)


def test_a_base_that_is_not_nvidias_is_refused_by_name(checkout: Checkout, standin: str, docker: str) -> None:
    dockerfile = f"FROM {standin}\nENV NVIDIA_PYTORCH_VERSION=\n"
    args = [docker, "build", "-q", "-t", "dgxcert-test:other-base", "-"]
    subprocess.run(args, input=dockerfile.encode(), env=engine.environment(), check=True, capture_output=True)
    with pytest.raises(CannotStart, match="guard: this is no NVIDIA PyTorch image"):
        checkout.build(REFERENCE, "tiny", "dgxcert-test:other-base")


def test_what_was_added_to_an_image_makes_it_another(checkout: Checkout, standin: str, docker: str) -> None:
    """Its labels are all there still: `docker commit` and a build on top of it inherit them."""
    made, _ = checkout.build(REFERENCE, "tiny", standin)
    assert made.untouched
    dockerfile = f"FROM {REFERENCE}\nUSER 0\nRUN touch /added\n"
    args = [docker, "build", "-q", "--network=none", "-t", "dgxcert-test:added", "-"]
    subprocess.run(args, input=dockerfile.encode(), env=engine.environment(), check=True, capture_output=True)
    added = builder.find("dgxcert-test:added")
    assert added is not None
    assert added.suite_sha256 == made.suite_sha256
    assert not added.untouched
    container = engine.run("create", made.id, "sh").stdout.strip()
    engine.run("commit", container, "dgxcert-test:committed")
    engine.run("rm", container)
    committed = builder.find("dgxcert-test:committed")
    assert committed is not None
    assert not committed.untouched


def test_a_change_of_the_suite_rebuilds_nothing_but_the_suite(checkout: Checkout, standin: str) -> None:
    first, _ = checkout.build(REFERENCE, "tiny", standin)
    with (checkout.folder / "checks" / "host" / "test_clock.py").open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    second, lines = checkout.build(REFERENCE, "tiny", standin)
    assert second.id != first.id
    assert any("does not fit this checkout: suite is" in line for line in lines)
    (install,) = (line.split()[0] for line in lines if "guard.py install" in line and line.startswith("#"))
    assert f"{install} CACHED" in lines
    third, lines = checkout.build(REFERENCE, "tiny", standin)
    assert third.id == second.id
    assert any("reused" in line for line in lines)
