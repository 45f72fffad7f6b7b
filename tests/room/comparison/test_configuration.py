"""Configuration: the settings that a run has, and which machines differ in one."""

import re

from paths import CHECKS
from suites import kept_runs

from dgxcert.room.comparison import configuration


def test_every_setting_that_checks_record_is_recorded_by_that_check() -> None:
    """A check that renames its evidence would silently take a setting out of every room."""
    texts = [path.read_text(encoding="utf-8") for path in CHECKS.rglob("test_*.py")]
    for requirement, name in (*configuration.RECORDED.values(), configuration.PARTS):
        (text,) = [text for text in texts if re.search(rf'^    "{requirement}",$', text, re.MULTILINE)]
        assert f'"{name}"' in text, (requirement, name)


def test_a_real_run_gives_its_settings() -> None:
    settings = configuration.of(kept_runs.h200())
    assert settings["driver"].startswith("580.")
    assert settings["persistence"] == "yes"
    assert settings["power limit"] == "1 of default"
    assert settings["torch"] == "2.11.0"
    assert settings["runtime"] == "native"
    assert "" not in settings.values()


def test_a_machine_with_other_memory_or_name_alone_is_set_up_alike() -> None:
    run = kept_runs.h200()
    machine = run.machine.model_copy(update={"hostname": "other", "serial": "2", "memory_gib": 125.80001})
    before = run.machine.model_copy(update={"memory_gib": 125.8})
    settings = [configuration.of(run.model_copy(update={"machine": each})) for each in (before, machine)]
    assert settings[0] == settings[1]


def test_a_difference_has_the_majority_the_others_and_who_is_unknown() -> None:
    settings = [{"kernel": "6.14"}] * 3 + [{"kernel": "6.17"}, {}]
    (kernel,) = configuration.differences("p", list("abcde"), settings)
    assert (kernel.majority, kernel.count, kernel.others, kernel.unknown) == ("6.14", 3, {"6.17": ("d",)}, ("e",))


def test_two_halves_have_no_majority() -> None:
    (kernel,) = configuration.differences("p", list("abcd"), [{"kernel": "6.14"}] * 2 + [{"kernel": "6.17"}] * 2)
    assert (kernel.majority, kernel.count) == ("", 0)
    assert kernel.others == {"6.14": ("a", "b"), "6.17": ("c", "d")}


def test_what_all_have_or_only_some_could_read_is_no_difference() -> None:
    assert list(configuration.differences("p", ["a", "b"], [{"kernel": "6"}, {"kernel": "6"}])) == []
    assert list(configuration.differences("p", ["a", "b"], [{"kernel": "6"}, {}])) == []


def test_a_part_of_the_command_line_that_names_one_machine_does_not_count() -> None:
    one, other = (
        configuration.answered({"kernel command line": f"BOOT_IMAGE=/vmlinuz-{at} root=UUID={at} ro quiet"})
        for at in "12"
    )
    assert one == other == {"kernel command line": "ro quiet"}


def test_hostile_settings_stay_on_one_line_and_short() -> None:
    ((name, value),) = configuration.answered({"BIOS\nSVM": "x" * 5000 + "\x1b[2J"}).items()
    assert "\n" not in name
    assert len(value) <= configuration.LONGEST
