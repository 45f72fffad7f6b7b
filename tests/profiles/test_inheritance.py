"""A profile states only its differences from the one it extends, and never inherits what it certifies a machine as."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dgxcert.outcome import CannotStart
from dgxcert.profiles import inheritance
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.inheritance import BASES, SHIPPED, merge, resolve

RACK = """
extends: h200
certifies: false
gpu: {count: 8}
limits:
  bandwidth.copy: {min: 4000, unit: GB/s, source: acceptance test of the rack}
workloads:
  timing: {seconds: 2}
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def resolved(text: str, path: Path) -> dict[str, Any]:
    return resolve(inheritance.chain(inheritance.parse(text, path), path))


def test_a_users_file_extends_a_shipped_profile(tmp_path: Path) -> None:
    h200, rack = profiles.load("h200"), profiles.load(str(write(tmp_path / "rack-7.yaml", RACK)))
    assert (rack.name, rack.machine, rack.match, rack.own) == ("rack-7", h200.machine, None, True)
    assert (rack.gpu.count, rack.gpu.at_least) == (8, None), "replaced whole: it has one of both"
    assert rack.limit("bandwidth.copy").source == "acceptance test of the rack"
    others = {name: limit for name, limit in h200.limits.items() if name != "bandwidth.copy"}
    assert {name: rack.limits[name] for name in others} == others
    assert rack.workloads.timing == h200.workloads.timing.model_copy(update={"seconds": 2})
    assert rack.workloads.decode == h200.workloads.decode
    assert rack.not_applicable == h200.not_applicable


def test_what_a_machine_is_certified_as_is_never_inherited(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", "extends: dgx-spark\n")
    with pytest.raises(CannotStart, match=r"mine\.yaml, line \d+, column \d+: missing key 'certifies'\."):
        profiles.load(str(path))
    own = profiles.load(str(write(path, "extends: dgx-spark\ncertifies: true\n")))
    assert (own.name, own.match, own.certifies) == ("mine", None, False)


def test_a_quantity_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", RACK.replace("min: 4000, unit: GB/s, ", "min: 4000, "))
    with pytest.raises(
        CannotStart, match=r"mine\.yaml, line 6, column 3: missing key 'limits\.bandwidth\.copy\.unit'\."
    ):
        profiles.load(str(path))


def test_null_removes_what_is_inherited_and_nothing_else(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.yaml", f'{RACK}  decode: {{full_long: null}}\nnot_applicable: {{"MATMUL-SPEED[fp32]": }}\n'
    )
    rack = profiles.load(str(path))
    assert rack.workloads.decode.full_long is None
    assert "MATMUL-SPEED[fp32]" not in rack.not_applicable
    assert "LORA-SPEED[fp32-*]" in rack.not_applicable
    write(path, f"{RACK}not_applicable: {{GPU-NONE: }}\n")
    with pytest.raises(CannotStart, match=r"not_applicable\.GPU-NONE: Input should be a valid string"):
        profiles.load(str(path))


def test_a_file_extends_another_by_a_path_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    write(tmp_path / "site" / "rack.yaml", RACK)
    one = write(tmp_path / "one.yaml", "extends: site/rack.yaml\ncertifies: false\nmachine: node 1\n")
    node = profiles.load(str(one))
    assert (node.name, node.machine, node.gpu.count) == ("one", "node 1", 8)


def test_a_mistake_in_an_extended_file_names_both(tmp_path: Path) -> None:
    base = write(tmp_path / "rack.yaml", RACK.replace("min: 4000", "mn: 4000"))
    one = write(tmp_path / "one.yaml", "extends: rack.yaml\ncertifies: false\n")
    with pytest.raises(CannotStart, match=r"unknown key 'limits\.bandwidth\.copy\.mn'") as raised:
        profiles.load(str(one))
    assert raised.value.problem.startswith(f"Profile {base}, line 6, column 20, which Profile {one} extends: ")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("extends: h20", "mine.yaml, line 1, column 1: extends: there is no profile 'h20'."),
        (
            "extends: [h200]",
            "line 1, column 1: extends: wanted the name of a profile or the path of a .yaml file, found a list.",
        ),
        ("extends: 3", "mine.yaml, line 1, column 1: extends: wanted the name of a profile"),
        ("extends: other.yaml", "other.yaml cannot be read: "),
        ("extends: mine.yaml", "mine.yaml, which is a cycle."),
        ("extends: broken.yaml", "broken.yaml, line 2, column 1: this is not YAML: "),
        ("extends: back.yaml", "back.yaml, line 1, column 1: "),
    ],
)
def test_an_invalid_extends_is_named_with_its_file(tmp_path: Path, text: str, complaint: str) -> None:
    write(tmp_path / "broken.yaml", "limits: [")
    write(tmp_path / "back.yaml", "extends: ./mine.yaml")
    with pytest.raises(CannotStart) as raised:
        profiles.load(str(write(tmp_path / "mine.yaml", text)))
    assert str(tmp_path) in raised.value.problem
    assert complaint in raised.value.problem


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(CannotStart) as raised:
        resolved("extends: nvidia-gpus", tmp_path / "mine.yaml")
    assert raised.value.remedy == ("Did you mean 'nvidia-gpu'? A file of your own must end in .yaml.",)


def test_a_base_is_neither_listed_nor_loaded_as_a_profile() -> None:
    bases = inheritance.names_in(BASES)
    assert bases
    assert not set(bases) & set(profiles.names())
    for base in bases:
        with pytest.raises(CannotStart, match=f"There is no profile '{base}'"):
            profiles.load(base)


def test_a_hash_does_not_depend_on_what_was_inherited(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", RACK)
    inheriting = profiles.load(str(path))
    write(path, yaml.safe_dump(resolved(RACK, path), sort_keys=False))
    assert profiles.load(str(path)).sha256 == inheriting.sha256


def test_merging_changes_neither_side() -> None:
    base, own = {"workloads": {"load": {"size_mib": 1}}}, {"workloads": {"load": {"size_mib": 2}}}
    assert merge(base, own) == own
    assert base == {"workloads": {"load": {"size_mib": 1}}}


@pytest.mark.parametrize("path", sorted([*SHIPPED.glob("*.yaml"), *BASES.glob("*.yaml")]), ids=lambda path: path.name)
def test_shipped_files_are_readable(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("# ")


@pytest.mark.parametrize("name", profiles.names())
def test_every_shipped_number_has_a_basis(name: str) -> None:
    quantities = profiles.quantities(name)
    assert [entry.source for each in quantities.values() for entry in each.values() if entry.basis is None] == []
    assert set(quantities["limits"]) == set(profiles.load(name).limits)
