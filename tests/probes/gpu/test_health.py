"""GPU health by NVML: Not Supported is an answer where a GPU may lack the feature, and an error never is."""

from collections.abc import Callable

import pytest

from dgxcert.machine.driver_query import Answers
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import driver_answers, health, nvml
from dgxcert.probes.gpu.health import RemappedRows


class Refusal(int):
    """The NVML error code of a driver that refuses to answer."""


NOT_SUPPORTED, UNKNOWN, LOST = Refusal(3), Refusal(999), Refusal(15)
SAYS = {3: "Not Supported", 999: "Unknown Error", 15: "GPU is lost"}

Plant = Callable[..., list[str]]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Sets the driver's answers for GPU 5 by field; returns the requested fields."""

    def plant(**values: object) -> list[str]:
        requested: list[str] = []

        def ask(index: int, *fields: str) -> Answers:
            assert index == 5
            assert set(fields) <= set(driver_answers.FIELDS), "driver_answers has no such field"
            requested.extend(fields)
            answered = {name: values[name] for name in fields if not isinstance(values[name], Refusal)}
            refused = {
                name: {"code": int(code), "says": SAYS.get(int(code), "No")}
                for name in fields
                if isinstance(code := values[name], Refusal)
            }
            return Answers(index, answered, refused)

        monkeypatch.setattr(nvml, "ask", ask)
        return requested

    return plant


COUNTERS: dict[str, object] = {"ecc_uncorrected": 1, "ecc_corrected": 20, "ecc_uncorrected_ever": 300}


@pytest.mark.parametrize("pending", [True, False])
def test_errors_are_counted_where_ecc_is_on(driver: Plant, pending: bool) -> None:
    driver(ecc_mode=[True, pending], **COUNTERS)
    errors = health.ecc_errors(5)
    assert (errors.counted, errors.source) == (True, "NVML, since the driver was loaded")
    assert (errors.uncorrected, errors.corrected, errors.uncorrected_ever) == (1, 20, 300)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (NOT_SUPPORTED, "this GPU has no error correction"),
        ([False, False], "its error correction is off"),
        ([False, True], "its error correction is off"),
    ],
    ids=["none", "off", "off until it is reset"],
)
def test_without_ecc_no_error_is_counted_and_the_source_names_the_reason(
    driver: Plant, mode: object, reason: str
) -> None:
    driver(ecc_mode=mode, **dict.fromkeys(COUNTERS, NOT_SUPPORTED))
    errors = health.ecc_errors(5)
    assert (errors.counted, errors.uncorrected, errors.corrected, errors.uncorrected_ever) == (False, 0, 0, 0)
    assert reason in errors.source


@pytest.mark.parametrize("code", [UNKNOWN, LOST])
@pytest.mark.parametrize("field", ["ecc_mode", *COUNTERS])
def test_a_counter_that_errs_is_not_zero(driver: Plant, field: str, code: Refusal) -> None:
    driver(**{"ecc_mode": [True, True], **COUNTERS, field: code})
    with pytest.raises(Inconclusive, match=f"does not report {field.replace('_', ' ')} of GPU 5: {SAYS[code]}"):
        health.ecc_errors(5)


@pytest.mark.parametrize("missing", COUNTERS)
def test_a_gpu_with_ecc_and_without_a_counter_is_inconclusive(driver: Plant, missing: str) -> None:
    driver(**{"ecc_mode": [True, True], **COUNTERS, missing: NOT_SUPPORTED})
    with pytest.raises(Inconclusive, match="Not Supported"):
        health.ecc_errors(5)


@pytest.mark.parametrize(
    ("mode", "on"), [([True, True], True), ([True, False], False), ([False, True], False), ([False, False], False)]
)
def test_ecc_is_on_where_it_is_on_now_and_after_a_reset(driver: Plant, mode: list[bool], on: bool) -> None:
    driver(ecc_mode=mode)
    assert health.ecc_enabled(5) is on


def test_remapped_rows_are_read_in_the_drivers_order(driver: Plant) -> None:
    driver(remapped_rows=[7, 2, 1, 0])
    assert health.remapped_rows(5) == RemappedRows(
        corrected=7, uncorrected=2, pending=True, failed=False, source="NVML"
    )
    driver(remapped_rows=[0, 0, 0, 1])
    assert health.remapped_rows(5) == RemappedRows(
        corrected=0, uncorrected=0, pending=False, failed=True, source="NVML"
    )


def test_a_gpu_that_remaps_no_rows_has_none_pending(driver: Plant) -> None:
    driver(remapped_rows=NOT_SUPPORTED)
    assert health.remapped_rows(5) == RemappedRows(
        0, 0, pending=False, failed=False, source="NVML: this GPU replaces no rows"
    )


@pytest.mark.parametrize(
    ("modes", "enabled"),
    [
        ([False, False], False),
        ([True, True], True),
        ([False, True], True),
        ([True, False], True),
        (NOT_SUPPORTED, False),
    ],
    ids=["off", "on", "on after a reset", "on until a reset", "not supported"],
)
def test_mig_is_on_where_it_is_on_now_or_after_a_reset(driver: Plant, modes: object, enabled: bool) -> None:
    driver(mig=modes)
    assert health.mig_enabled(5) is enabled


@pytest.mark.parametrize("on", [True, False])
def test_persistence_is_what_the_driver_reports(driver: Plant, on: bool) -> None:
    driver(persistence=on)
    assert health.persistence(5) is on


def test_the_compute_mode_has_the_name_that_profiles_use(driver: Plant) -> None:
    driver(compute_mode="Exclusive_Process")
    assert health.compute_mode(5) == "Exclusive_Process"


POWER: dict[str, object] = {
    "power_limit_w": 700,
    "power_limit_requested_w": 700,
    "power_limit_default_w": 700.0,
    "power_limits_w": [200, 700],
}


def test_the_power_limit_is_the_share_of_its_default(driver: Plant) -> None:
    driver(**(POWER | {"power_limit_w": 500, "power_limit_requested_w": 500}))
    limit = health.power_limit(5)
    assert (limit.of_default, limit.source) == (pytest.approx(500 / 700), "NVML: 500 W of 700 W")
    assert limit.enforced == 1.0
    assert "sudo nvidia-smi -pl 700 -i 5" in limit.remedy[0]


def test_a_platform_that_enforces_less_than_is_requested_has_lowered_no_limit(driver: Plant) -> None:
    """GH200: the module shares 900 W with its CPU, and `nvidia-smi -pl` does not change that."""
    driver(**(POWER | {"power_limit_requested_w": 900, "power_limit_default_w": 900.0}))
    limit = health.power_limit(5)
    assert (limit.of_default, limit.enforced) == (1.0, pytest.approx(700 / 900))
    assert limit.enforced_source == "NVML: the platform enforces 700 W of the requested 900 W"


@pytest.mark.parametrize("code", [NOT_SUPPORTED, Refusal(13)])
def test_an_older_driver_tells_the_enforced_limit_alone(driver: Plant, code: Refusal) -> None:
    driver(**(POWER | {"power_limit_w": 350, "power_limit_requested_w": code, "power_limits_w": code}))
    assert health.power_limit(5).of_default == 0.5


def test_a_remedy_asks_for_no_more_than_the_gpu_takes(driver: Plant) -> None:
    driver(**(POWER | {"power_limit_requested_w": 350, "power_limit_w": 350, "power_limits_w": [200, 600]}))
    assert "-pl 600 " in health.power_limit(5).remedy[0]


PROBES: dict[str, tuple[Callable[[int], object], tuple[str, ...]]] = {
    "errors": (health.ecc_errors, ("ecc_mode", *COUNTERS)),
    "ECC mode": (health.ecc_enabled, ("ecc_mode",)),
    "remapped rows": (health.remapped_rows, ("remapped_rows",)),
    "persistence": (health.persistence, ("persistence",)),
    "compute mode": (health.compute_mode, ("compute_mode",)),
    "MIG": (health.mig_enabled, ("mig",)),
    "power limit": (health.power_limit, tuple(POWER)),
}


@pytest.mark.parametrize("code", [UNKNOWN, LOST])
@pytest.mark.parametrize("name", PROBES)
def test_an_error_of_the_driver_is_inconclusive(driver: Plant, name: str, code: Refusal) -> None:
    probe, fields = PROBES[name]
    requested = driver(**dict.fromkeys(fields, code))
    with pytest.raises(Inconclusive, match=f"does not report .* of GPU 5: {SAYS[code]}"):
        probe(5)
    assert requested == list(fields), "no other field is read"


@pytest.mark.parametrize("name", ["ECC mode", "persistence", "compute mode"])
def test_a_missing_feature_is_inconclusive_and_the_remedy_names_the_profile(driver: Plant, name: str) -> None:
    probe, fields = PROBES[name]
    driver(**dict.fromkeys(fields, NOT_SUPPORTED))
    with pytest.raises(Inconclusive, match="Not Supported") as raised:
        probe(5)
    assert any("mark the requirement as not applicable in its profile" in step for step in raised.value.remedy)


def test_a_power_limit_of_zero_is_not_the_default(driver: Plant) -> None:
    driver(**(POWER | {"power_limit_w": 0, "power_limit_requested_w": 0}))
    assert health.power_limit(5).of_default == 0.0


@pytest.mark.parametrize("missing", [("power_limit_w", "power_limit_requested_w"), ("power_limit_default_w",)])
def test_a_gpu_without_a_limit_or_without_a_default_is_not_limited(driver: Plant, missing: tuple[str, ...]) -> None:
    """As on laptops and GB10. An error is inconclusive instead."""
    driver(**(POWER | dict.fromkeys(missing, NOT_SUPPORTED)))
    limit = health.power_limit(5)
    assert limit.of_default == 1.0
    assert "this GPU has no power limit" in limit.source
