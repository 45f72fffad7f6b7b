"""The image, built from the real Dockerfile, holds no secret, and a failed build names its cause.

The stack is small, so that a build takes seconds; CI builds the real stacks in its rehearsal.
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

PASSWORD = "password-of-the-index-7f3a"
REFERENCE = "dgxcert-test:build"


@pytest.fixture(scope="module")
def index(tiny_lock: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """A private package index with the packages of the small stack, and some that would harm the base image."""
    folder = tmp_path_factory.mktemp("index")
    lock = folder / "tiny.lock"
    lock.write_text(tiny_lock, encoding="utf-8")
    packages = folder / "packages"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(packages)]
    subprocess.run([*command, "--python-version=3.11", "-r", str(lock)], check=True)
    wheel(packages, "wants-torch", "1.0", requires="torch>=2.10")
    wheel(packages, "torch", "2.10.0")
    wheel(packages, "overwrites-torch", "1.0", files={"torch/version.py": "__version__ = '2.10.0'\n"})
    (folder / "private").mkdir()
    with served(packages, folder / "private", "staff", PASSWORD) as running:
        yield running


@pytest.fixture
def packages(index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index.authority.parents[1] / "packages"


@pytest.fixture
def at_private_index(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The private index as it is set up in pip's configuration."""
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


def test_an_image_from_a_private_index_holds_no_password_address_or_certificate(
    private_build: tuple[Image, list[str], Index], docker: str, tmp_path: Path
) -> None:
    built, lines, index = private_build
    assert any(path.startswith("/files/") for path in index.requested), (
        "the index was not used, so the build was cached"
    )
    authority = "".join(index.authority.read_text(encoding="utf-8").splitlines()[1:4])
    address = index.url.rpartition("@")[2].removesuffix("/simple")
    secrets = [secret.encode() for secret in (PASSWORD, address, authority[:64])]
    assert PASSWORD not in "\n".join(lines)
    with subprocess.Popen([docker, "save", built.id], stdout=subprocess.PIPE, env=engine.environment()) as saving:
        searched, matches = search(saving, secrets)
    assert matches == []
    assert sum(name.endswith("layer.tar") or name.startswith("blobs/") for name in searched) >= 5
    assert any(name.endswith(".json") or name.startswith("blobs/") for name in searched)


def search(saving: "subprocess.Popen[bytes]", secrets: list[bytes]) -> tuple[list[str], list[str]]:
    """Names of the files in a saved image, and each secret with the file that holds it."""
    searched, matches = [], []
    with tarfile.open(fileobj=saving.stdout, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            searched.append(member.name)
            before = b""
            while chunk := file.read(1 << 22):
                searched_now = before + chunk
                matches += [f"{secret!r} in {member.name}" for secret in secrets if secret in searched_now]
                before = chunk[-max(map(len, secrets)) :]
    return searched, matches


def test_the_search_finds_a_secret_in_a_layer(docker: str, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(f"password = {PASSWORD}", encoding="utf-8")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY pip.conf /pip.conf\n", encoding="utf-8")
    args = [docker, "build", "-q", "-t", "dgxcert-test:careless", str(tmp_path)]
    subprocess.run(args, env=engine.environment(), check=True, capture_output=True)
    with subprocess.Popen([docker, "save", "dgxcert-test:careless"], stdout=subprocess.PIPE) as saving:
        _, matches = search(saving, [PASSWORD.encode()])
    assert any("layer" in name or "blobs" in name for name in matches)


def test_the_labels_of_the_image_name_its_base_and_lock(
    private_build: tuple[Image, list[str], Index], standin: str, docker: str, checkout: Checkout
) -> None:
    built, _, _ = private_build
    inspected = json.loads(engine.run("image", "inspect", built.id).stdout)[0]["Config"]
    labels = inspected["Labels"]
    base = builder.find(standin)
    assert base is not None
    assert labels[image.LABEL_BASE_DIGEST] == base.id
    assert re.fullmatch(r"[0-9a-f]{64}", labels[image.LABEL_LOCK])
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert image.LABEL_COMMIT in labels
    assert inspected["User"] == "1000:1000"


@pytest.mark.parametrize(
    ("package", "cause"),
    [
        ("wants-torch", "wants-torch 1.0 has requirement torch>=2.10"),
        ("torch", "torch==2.10.0 is not the version that the base image holds"),
        ("overwrites-torch", "the files of torch .* are no longer those of the base image"),
    ],
)
def test_a_package_that_would_replace_nvidias_torch_fails_the_build_by_name(
    at_private_index: Index, packages: Path, checkout: Checkout, standin: str, tiny_lock: str, package: str, cause: str
) -> None:
    (path,) = packages.glob(f"{package.replace('-', '_')}-*.whl")
    checkout.lock("harmful", tiny_lock + pin(path))
    with pytest.raises(CannotStart, match=f"could not be built: guard: .*{cause}"):
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


def test_a_build_without_a_network_names_the_package_that_could_not_be_downloaded(
    checkout: Checkout, standin: str, tiny_lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = re.search(r"^([a-z0-9-]+==\S+)", tiny_lock, re.MULTILINE)
    assert first is not None
    checkout.lock("offline", f"{tiny_lock}# not in any cache\n")
    monkeypatch.setenv("BUILD_NETWORK", "none")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    cause = f"guard: .*{re.escape(first.group(1))} could not be downloaded from the package index: .*no network"
    with pytest.raises(CannotStart, match=cause):
        checkout.build(REFERENCE, "offline", standin)


def test_a_base_that_is_not_nvidias_is_refused_by_name(checkout: Checkout, standin: str, docker: str) -> None:
    dockerfile = f"FROM {standin}\nENV NVIDIA_PYTORCH_VERSION=\n"
    args = [docker, "build", "-q", "-t", "dgxcert-test:other-base", "-"]
    subprocess.run(args, input=dockerfile.encode(), env=engine.environment(), check=True, capture_output=True)
    with pytest.raises(CannotStart, match="guard: this is no NVIDIA PyTorch image"):
        checkout.build(REFERENCE, "tiny", "dgxcert-test:other-base")


def test_an_image_that_was_changed_after_its_build_is_recognised(checkout: Checkout, standin: str, docker: str) -> None:
    """`docker commit` and a build on top of an image inherit its labels."""
    built, _ = checkout.build(REFERENCE, "tiny", standin)
    assert built.untouched
    dockerfile = f"FROM {REFERENCE}\nUSER 0\nRUN touch /added\n"
    args = [docker, "build", "-q", "--network=none", "-t", "dgxcert-test:added", "-"]
    subprocess.run(args, input=dockerfile.encode(), env=engine.environment(), check=True, capture_output=True)
    added = builder.find("dgxcert-test:added")
    assert added is not None
    assert added.suite_sha256 == built.suite_sha256
    assert not added.untouched
    container = engine.run("create", built.id, "sh").stdout.strip()
    engine.run("commit", container, "dgxcert-test:committed")
    engine.run("rm", container)
    committed = builder.find("dgxcert-test:committed")
    assert committed is not None
    assert not committed.untouched


def test_an_image_on_ours_that_inherits_labels_and_last_step_is_not_reused(
    checkout: Checkout, standin: str, docker: str
) -> None:
    built, _ = checkout.build(REFERENCE, "tiny", standin)
    engine.run("tag", built.id, "dgxcert-test:ours")
    for step in (f"COPY --from={standin} /etc/passwd /added", "ENV PYTHONPATH=/added"):
        dockerfile = f'FROM dgxcert-test:ours\n{step}\nCMD ["--help"]\n'
        args = [docker, "build", "-q", "--network=none", "-t", REFERENCE, "-"]
        subprocess.run(args, input=dockerfile.encode(), env=engine.environment(), check=True, capture_output=True)
        forged = builder.find(REFERENCE)
        assert forged is not None
        assert forged.untouched, "its history ends like ours"
        assert not forged.proven
        again, lines = checkout.build(REFERENCE, "tiny", standin)
        assert again.id == built.id
        assert any("no record of having made it" in line for line in lines)


def test_after_a_change_of_the_suite_the_packages_are_not_installed_again(checkout: Checkout, standin: str) -> None:
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
