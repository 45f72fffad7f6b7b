"""A CDI specification is stale where it names what is gone or another driver; other files are left alone."""

from pathlib import Path

import pytest

from dgxcert.probes.host.engine import cdi
from dgxcert.probes.host.engine.cdi import GPU, Specification

LOADED = "580.126.09"


def written(
    folder: Path, name: str, *, driver: str = LOADED, kind: str = GPU, device: str = "all", gone: str = ""
) -> Path:
    """A specification as nvidia-ctk writes it, whose files exist below `folder`, apart from `gone`."""
    files = [folder / "files" / each for each in ("nvidia0", f"libcuda.so.{driver}", "libnvidia-egl-wayland.so.1.1.19")]
    (folder / "files").mkdir(exist_ok=True)
    for file in files:
        file.touch()
    missing = [f"  - hostPath: {gone}", "    containerPath: /x"] if gone else []
    lines = [
        "cdiVersion: 0.5.0",
        f"kind: {kind}",
        "devices:",
        f"- name: {device}",
        "  containerEdits:",
        "    deviceNodes:",
        f"    - path: {files[0]}",
        "containerEdits:",
        "  deviceNodes:",
        "  - path: /dev/nvidiactl",
        "    hostPath: /dev/null",
        "  mounts:",
        f"  - hostPath: {files[1].parent}/lib/libcuda.so.{driver}",
        "    containerPath: /usr/lib/libcuda.so",
        f"  - hostPath: {files[2]}",
        "    containerPath: /usr/lib/libegl.so",
        *missing,
    ]
    (folder / "files" / "lib").mkdir(exist_ok=True)
    (folder / "files" / "lib" / f"libcuda.so.{driver}").touch()
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(*folders: Path) -> list[Specification]:
    return cdi.read([str(folder) for folder in folders])


def test_a_specification_of_the_loaded_driver_is_well(tmp_path: Path) -> None:
    written(tmp_path, "etc/nvidia.yaml")
    (specification,) = read(tmp_path / "etc")
    assert (specification.devices, specification.driver, specification.missing) == (("all",), LOADED, ())
    assert cdi.faults([specification], LOADED) == []


def test_a_specification_of_another_driver_is_stale_though_its_files_exist(tmp_path: Path) -> None:
    path = written(tmp_path, "etc/nvidia.yaml", driver="580.95.05")
    (fault,) = cdi.faults(read(tmp_path / "etc"), LOADED)
    assert fault == f"{path} was made for driver 580.95.05, and {LOADED} is loaded"
    assert cdi.faults(read(tmp_path / "etc"), loaded="") == [], "nothing is known without a driver"


@pytest.mark.parametrize("gone", ["/dev/nvidia7", "/run/nvidia-persistenced/socket", "/usr/lib/libcuda.so.570.1"])
def test_what_a_specification_names_and_is_gone_makes_it_stale(tmp_path: Path, gone: str) -> None:
    path = written(tmp_path, "etc/nvidia.yaml", gone=gone)
    (fault,) = cdi.faults(read(tmp_path / "etc"), LOADED)
    assert fault == f"{path} names {gone}, which does not exist"
    assert f"sudo nvidia-ctk cdi generate --output={path}" in " ".join(cdi.renewal([fault]))


def test_an_old_file_below_a_newer_one_does_not_count(tmp_path: Path) -> None:
    written(tmp_path, "etc/nvidia.yaml", driver="570.10.01")
    written(tmp_path, "run/nvidia.yaml")
    assert cdi.faults(read(tmp_path / "etc", tmp_path / "run"), LOADED) == []
    assert cdi.faults(read(tmp_path / "run", tmp_path / "etc"), LOADED) != []


def test_two_files_of_one_folder_that_define_one_device_are_a_fault(tmp_path: Path) -> None:
    written(tmp_path, "etc/a.yaml")
    written(tmp_path, "etc/b.yaml")
    (fault,) = cdi.faults(read(tmp_path / "etc"), LOADED)
    assert "both define nvidia.com/gpu=all" in fault
    assert f"sudo mv {tmp_path}/etc/a.yaml {tmp_path}/etc/a.yaml.old" in " ".join(cdi.renewal([fault]))


def test_files_of_other_vendors_and_kinds_do_not_count(tmp_path: Path) -> None:
    written(tmp_path, "etc/intel.yaml", kind="intel.com/gpu", gone="/dev/dri/card9")
    written(tmp_path, "etc/ib.json.bak", gone="/dev/nowhere")
    assert read(tmp_path / "etc") == []


@pytest.mark.parametrize("text", ["{", "kind: [", "", "[]", "just text"])
def test_a_damaged_file_is_a_fault_and_no_crash(tmp_path: Path, text: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "nvidia.yaml").write_text(text, encoding="utf-8")
    (fault,) = cdi.faults(read(tmp_path / "etc"), LOADED)
    assert fault.startswith(f"{tmp_path}/etc/nvidia.yaml: it ")
    assert "{'" not in fault


@pytest.mark.parametrize(
    "text",
    [
        "kind: nvidia.com/gpu\ndevices: all\ncontainerEdits: []",
        "kind: nvidia.com/gpu\ndevices: [all]\ncontainerEdits: {mounts: [1], deviceNodes: {}}",
        "kind: nvidia.com/gpu\ndevices: [{name: all, containerEdits: null}]",
    ],
)
def test_a_file_of_another_form_is_read_as_far_as_it_goes(text: str) -> None:
    assert cdi.parse("/etc/cdi/nvidia.yaml", text).missing == ()


def test_a_folder_that_does_not_exist_has_no_files(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere") == []


def test_a_file_that_only_root_may_read_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "etc/nvidia.yaml")

    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", forbidden)
    assert cdi.faults(read(tmp_path / "etc"), LOADED) == []


def test_without_a_device_called_all_every_file_counts(tmp_path: Path) -> None:
    written(tmp_path, "etc/nvidia.yaml", device="0", gone="/dev/nvidia7")
    assert len(cdi.faults(read(tmp_path / "etc"), LOADED)) == 1
