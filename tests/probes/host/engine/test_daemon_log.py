"""An engine that does not start says why in its log: the newest known reason counts."""

from typing import Any

import paths
import pytest
import yaml
from remedies import commands

from dgxcert import command
from dgxcert.container.engine_kind import DOCKER, KINDS, SNAP
from dgxcert.probes.host.engine import daemon_errors, daemon_log

ROWS: list[dict[str, Any]] = yaml.safe_load(
    (paths.RECORDED / "engines" / "daemon_errors.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("row", ROWS, ids=[str(number) for number in range(len(ROWS))])
def test_a_reason_in_the_log_has_its_remedy(row: dict[str, Any]) -> None:
    found = daemon_log.why_it_does_not_start(f"Starting up\n{row['text']}\nFailed with result 'exit-code'.", DOCKER)
    assert found is not None
    assert row["says"] in found.meaning
    assert row["do"] in " ".join(found.remedy)


def test_every_row_has_a_text() -> None:
    used = {
        next(each.pattern for each in daemon_errors.CAUSES if each.compiled.search(row["text"].replace('\\"', '"')))
        for row in ROWS
    }
    assert [each.pattern for each in daemon_errors.OF_THE_DAEMON if each.pattern not in used] == []


def test_every_remedy_can_be_typed_for_every_kind() -> None:
    logs = [row["text"] for row in ROWS]
    found = [daemon_log.why_it_does_not_start(log, kind) for kind in KINDS.values() for log in logs]
    faults = {fault for each in found if each for step in each.remedy for fault in commands.faults_of(step)}
    assert faults == set()


def test_the_newest_reason_counts() -> None:
    old = "unable to configure the Docker daemon with file /etc/docker/daemon.json: unexpected EOF"
    new = "failed to start daemon: error initializing graphdriver: driver not supported"
    found = daemon_log.why_it_does_not_start(f"{old}\n{new}\n", DOCKER)
    assert found is not None
    assert "storage driver" in found.meaning


@pytest.mark.parametrize(
    "line",
    [
        "",
        'level=warning msg="failed to load plugin io.containerd.snapshotter.v1.devmapper" error="devmapper not '
        'configured"',
        'level=warning msg="Your kernel does not support cgroup blkio weight"',
        'level=info msg="Loading containers: done."',
        "docker.service: Failed with result 'exit-code'.",
        "docker.service: Start request repeated too quickly.",
    ],
)
def test_what_every_engine_logs_is_no_reason(line: str) -> None:
    assert daemon_log.why_it_does_not_start(line, DOCKER) is None


def test_the_log_of_a_snap_is_that_of_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(args: list[str], **_: object) -> command.Completed:
        asked.append(args)
        return command.Completed(tuple(args), 0, "a line\n", "")

    monkeypatch.setattr(command, "run", run)
    assert daemon_log.read(SNAP) == "a line\n"
    assert "snap.docker.dockerd" in asked[0]


def test_without_a_journal_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> command.Completed:
        raise FileNotFoundError(2, "No such file or directory", "journalctl")

    monkeypatch.setattr(command, "run", absent)
    assert daemon_log.read(DOCKER) == ""
