"""Diagnosis: the first failed step is named in time, however its process ends."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.judgement.evidence import Recorder
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import diagnosis, model_cache
from dgxcert.probes.hub.cache import places
from dgxcert.probes.hub.cache.trial import Trial
from dgxcert.probes.hub.cache.trouble import Trouble
from dgxcert.probes.hub.model_cache import CachedFile
from dgxcert.profiles.checkpoints import KNOWN

pytestmark = pytest.mark.usefixtures("plain_hub_environment")


def run_as_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Run this program in place of `python -m dgxcert.probes.hub.steps`."""
    (tmp_path / "steps.py").write_text(code)
    follow = command.follow

    def start(args: list[str], **rest: object) -> bool:
        return follow([sys.executable, str(tmp_path / "steps.py")], **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "follow", start)


def begins(name: str) -> str:
    """Code that prints the line of a step that begins."""
    return f"print('''{json.dumps({'begun': name, 'host': 'h'})}''', flush=True)\n"


def passes(name: str) -> str:
    """Code that prints both lines of a step that passes."""
    result = {"name": name, "state": "ok", "cause": "", "host": "h", "detail": "seen", "seconds": 0.1}
    return f"{begins(name)}print('''{json.dumps(result)}''', flush=True)\n"


HANGS = "import time; time.sleep(60)"


def test_step_that_hangs_is_killed_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_as_steps(monkeypatch, tmp_path, passes("settings") + begins("dns") + HANGS)
    monkeypatch.setattr(diagnosis, "STEP_S", 1.0)
    started = time.monotonic()
    result = diagnosis.diagnose()
    assert time.monotonic() - started < 10
    assert (result.failed, result.steps[-1].cause, result.steps[-1].host) == ("dns", "dns-timeout", "h")
    assert not result.conclusive


@pytest.mark.parametrize(
    ("code", "failed"),
    [
        (begins("tls"), "tls"),
        ("", "settings"),
        (passes("settings") + passes("cas-address"), "cdn"),
    ],
    ids=["in a step", "before the first", "between two"],
)
def test_process_that_ends_early_is_a_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, failed: str
) -> None:
    run_as_steps(monkeypatch, tmp_path, code)
    result = diagnosis.diagnose()
    assert (result.failed, result.steps[-1].cause, result.conclusive) == (failed, "crashed", False)


def test_end_of_the_total_time_blames_no_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_as_steps(monkeypatch, tmp_path, passes("settings") + begins("cas") + HANGS)
    monkeypatch.setattr(diagnosis, "TOTAL_S", 2.0)
    result = diagnosis.diagnose()
    assert (result.failed, result.steps[-1].cause, result.conclusive) == ("cas", "out-of-time", False)


@pytest.mark.parametrize(
    ("stdout", "returncode", "state", "cause"),
    [
        ('{"state": "ok", "cause": "", "detail": "as on the Hub"}', 0, "ok", ""),
        ('{"state": "failed", "cause": "wrong-bytes", "detail": "other"}', 0, "failed", "wrong-bytes"),
        (
            '{"level": "ERROR"}\n{"state": "ok", "cause": "", "detail": "as on the Hub"}\n{"level": "INFO"}\nrest',
            0,
            "ok",
            "",
        ),
        ('{"level": "ERROR", "message": "a log without a result"}', 1, "failed", "crashed"),
        ("Segmentation fault", -11, "failed", "crashed"),
        ("", None, "late", "timeout"),
    ],
)
def test_result_of_the_client_is_the_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stdout: str, returncode: int | None, state: str, cause: str
) -> None:
    run_as_steps(monkeypatch, tmp_path, passes("settings") + passes("cdn"))
    monkeypatch.setenv("HF_ENDPOINT", "http://hub")
    done = command.Completed(("python",), returncode, stdout, "")
    run = command.run
    monkeypatch.setattr(command, "run", lambda args, **kw: run(args, **kw) if args[3].endswith("trial") else done)
    result = diagnosis.diagnose()
    assert [step.name for step in result.steps][:4] == ["folders", "settings", "cdn", "download"]
    assert (result.steps[3].state, result.steps[3].cause) == (state, cause)
    assert (result.failed == "none") is (state == "ok")


@pytest.mark.parametrize(("free", "files"), [(300_000, 10_000), (10**9, 9)])
def test_folder_without_room_says_nothing_about_downloads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, files: int
) -> None:
    about = os.statvfs_result((1, 1, 10**9, free, free, 10**6, files, files, 0, 255))
    monkeypatch.setattr(diagnosis.os, "statvfs", lambda folder: about)
    run_as_steps(monkeypatch, tmp_path, passes("settings") + passes("cdn"))
    result = diagnosis.diagnose()
    assert (result.failed, result.steps[-1].cause, result.conclusive) == ("download", "no-room-in-tmp", False)


def test_no_folder_for_temporary_files_says_nothing_about_downloads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nowhere(**_: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    run_as_steps(monkeypatch, tmp_path, passes("settings") + passes("cdn"))
    monkeypatch.setattr(diagnosis.tempfile, "TemporaryDirectory", nowhere)
    result = diagnosis.diagnose()
    assert (result.failed, result.steps[-1].cause, result.conclusive) == ("download", "no-tmp", False)


def test_client_that_had_less_than_its_time_is_not_blamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "run", lambda args, **_: command.Completed(("python",), None, "", ""))
    assert diagnosis._run_client("download", tmp_path, 1, {}, time.monotonic()).cause == "timeout"
    started = time.monotonic() - diagnosis.TOTAL_S + 5.0
    assert diagnosis._run_client("download", tmp_path, 1, {}, started).cause == "out-of-time"


def test_download_does_not_begin_without_time_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_as_steps(monkeypatch, tmp_path, passes("settings") + passes("cdn"))
    monkeypatch.setattr(diagnosis, "MIN_DOWNLOAD_S", 100.0)
    result = diagnosis.diagnose()
    assert (result.failed, result.steps[-1].state) == ("download", "late")


@pytest.mark.parametrize("value", ["1", "true", "ON", "yes"])
def test_cache_is_verified_where_the_hub_is_switched_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    result = diagnosis.diagnose(["gpt2"])
    assert (result.failed, result.conclusive) == ("cache", True)
    assert "gpt2 at 607a30d783df: config.json is missing" in result.summary
    assert result.remedy[0].startswith("With the Hub switched on, download it: hf download gpt2 ")


def cached(cache: Path) -> None:
    """GPT-2 in a cache, as far as the names of its files go."""
    folder = model_cache.snapshot(KNOWN["gpt2"], cache)
    folder.mkdir(parents=True)
    for name in KNOWN["gpt2"].files:
        (folder / name).write_text("x")
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text(KNOWN["gpt2"].revision)


@pytest.mark.parametrize("counts", [True, False])
def test_cache_that_transformers_alone_uses_counts_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counts: bool
) -> None:
    cached(tmp_path / "lab")
    monkeypatch.setattr(model_cache, "_verify_file", lambda folder, name, pin: CachedFile(
        name, "verified" if (folder / name).exists() else "missing", "seen"))  # fmt: skip
    monkeypatch.setattr(places, "_source_of_transformers", lambda: '"TRANSFORMERS_CACHE"' if counts else "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_CACHE", str(tmp_path / "lab"))
    assert diagnosis.diagnose(["gpt2"]).failed == ("none" if counts else "cache")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "lab"))
    monkeypatch.setenv("TRANSFORMERS_CACHE", str(tmp_path / "empty"))
    result = diagnosis.diagnose(["gpt2"])
    assert result.failed == ("cache" if counts else "none")
    if counts:
        assert result.remedy[0] == f"{tmp_path / 'lab'} holds it: unset TRANSFORMERS_CACHE"
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))
        assert f"--cache-dir {tmp_path / 'empty'}" in diagnosis.diagnose(["gpt2"]).remedy[0]


def test_cache_without_hashes_is_inconclusive_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cached(tmp_path / "lab")
    monkeypatch.setattr(model_cache, "_verify_file", lambda folder, name, pin: CachedFile(name, "unverified", "seen"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "lab"))
    result = diagnosis.diagnose(["gpt2"])
    assert (result.failed, result.steps[-1].cause, result.conclusive) == ("cache", "unverified", False)


def test_hub_that_is_switched_off_and_not_needed_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    with pytest.raises(Inconclusive, match="TRANSFORMERS_OFFLINE is set, so the Hub was not tested"):
        diagnosis.diagnose()


def test_name_that_does_not_resolve_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    result = diagnosis.diagnose()
    assert (result.failed, result.conclusive) == ("dns", False)
    with pytest.raises(Inconclusive, match=r"hub\.invalid"):
        result.record(Recorder())


@pytest.mark.parametrize("held", [True, False])
def test_cache_that_an_administrator_has_filled_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: bool
) -> None:
    locked = Trouble("permission", "/lab/hub", "the Hub cache", "HF_HUB_CACHE", "/lab/hub belongs to root")
    monkeypatch.setattr(diagnosis.trial, "read", lambda: Trial(("the Hub cache",), (locked,), ()))
    monkeypatch.setattr(diagnosis.model_cache, "is_there", lambda checkpoint: held)
    run_as_steps(monkeypatch, tmp_path, begins("dns"))
    first = diagnosis.diagnose(["gpt2"]).steps[0]
    assert (first.name, first.ok) == ("folders", held)
    assert "belongs to root" in first.detail
    assert not diagnosis.diagnose().steps[0].ok


def test_file_that_this_user_may_read_is_there(tmp_path: Path) -> None:
    checkpoint = KNOWN["gpt2"]
    assert not model_cache.is_there(checkpoint, tmp_path)
    folder = model_cache.snapshot(checkpoint, tmp_path)
    folder.mkdir(parents=True)
    for name in checkpoint.files:
        (folder / name).write_text("")
    assert model_cache.is_there(checkpoint, tmp_path)
