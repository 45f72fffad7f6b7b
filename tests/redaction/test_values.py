"""Every credential that this process can see is known as a secret, whoever's client keeps it; other values are not."""

import base64
import json
import os
from pathlib import Path

import pytest

from dgxcert.redaction import values

SECRET = "x7Qm2kLp-Aa"
ENCODED = base64.b64encode(f"ada:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    "variables",
    [
        {"HF_TOKEN": SECRET},
        {"hf_token": f"{SECRET}\n"},
        {"WANDB_API_KEY": SECRET},
        {"AWS_SECRET_ACCESS_KEY": SECRET},
        {"UV_INDEX_LAB_PASSWORD": SECRET},
        {"PGPASSWORD": SECRET},
        {"TOKEN_2": SECRET},
        {"accessToken": SECRET},
        {"https_proxy": f"http://ada:{SECRET}@proxy.example:3128"},
        {"ALL_PROXY": f"ada:{SECRET}@proxy.example:3128"},
        {"PIP_INDEX_URL": f"https://{SECRET}@pypi.example/simple"},
        {"DATABASE": f"postgresql://ada:a%2F{SECRET}@db.example/x"},
        {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {"nvcr.io": {"auth": ENCODED}}})},
    ],
)
def test_a_secret_of_the_environment_is_known(variables: dict[str, str], tmp_path: Path) -> None:
    assert any(SECRET in value for value in values.read({"HOME": str(tmp_path), **variables}))


FILES = {
    ".cache/huggingface/token": SECRET,
    ".cache/huggingface/stored_tokens": f"[lab]\nhf_token = {SECRET}\n",
    ".netrc": f"machine hub.example\n  login ada\n  password {SECRET}\n",
    ".config/pip/pip.conf": f"[global]\nindex-url = https://ada:{SECRET}@pypi.example/simple\n",
    ".config/uv/uv.toml": f'[[index]]\nurl = "https://ada:{SECRET}@pypi.example/simple"\n',
    ".docker/config.json": json.dumps({"auths": {"nvcr.io": {"auth": ENCODED}}}),
    ".ngc/config": f"[CURRENT]\napikey = {SECRET}\n",
    ".git-credentials": f"https://ada:{SECRET}@git.example\n",
    ".gitconfig": f"[http]\n\textraHeader = Authorization: Bearer {SECRET}\n",
    ".config/gh/hosts.yml": f"github.com:\n    oauth_token: {SECRET}\n",
    ".aws/credentials": f"[default]\naws_secret_access_key={SECRET}\n",
    ".kube/config": f"users:\n- user:\n    token: {SECRET}\n",
    ".pypirc": f"[pypi]\nusername = ada\npassword = {SECRET}\n",
    ".npmrc": f"//registry.example/:_authToken={SECRET}\n",
    ".kaggle/kaggle.json": json.dumps({"username": "ada", "key": "k", "api_key": SECRET}),
}


@pytest.mark.parametrize("name", FILES)
def test_a_secret_in_a_file_of_a_client_is_known(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    assert SECRET in values.read({"HOME": str(tmp_path)})


def test_a_fifo_or_a_device_in_the_place_of_a_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".netrc")
    (tmp_path / ".pypirc").symlink_to("/dev/zero")
    assert values.read({"HOME": str(tmp_path)}) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZERS_PARALLELISM", "disabled-here"),
        ("SSH_AUTH_SOCK", "/tmp/ssh-x/agent.1"),
        ("PWD", "/home/lab/project-x1"),
        ("HF_TOKEN_PATH", "/run/secrets/hf_token"),
        ("HF_TOKEN", "true"),
        ("DB_PASS", "user"),
        ("API_KEY", "changeme"),
        ("KEYMAP", "de-latin1-x"),
        ("GIT_URL", "https://git@github.com/x"),
    ],
)
def test_a_word_or_a_path_is_no_secret(name: str, value: str, tmp_path: Path) -> None:
    assert values.read({"HOME": str(tmp_path), name: value}) == frozenset()


def test_what_changes_in_the_environment_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    assert SECRET in values.current()
    monkeypatch.delenv("LAB_TOKEN")
    assert SECRET not in values.current()
