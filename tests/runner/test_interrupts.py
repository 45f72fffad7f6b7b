"""Signals: counted where a run cleans up, an exception where it waits, and as before once the command has ended."""

import signal
import time

import pytest

from dgxcert.runner import interrupts

NUMBERS = pytest.mark.parametrize("number", interrupts.NUMBERS)


@NUMBERS
def test_a_signal_ends_a_command(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.heeded():
        signal.raise_signal(number)


@NUMBERS
def test_three_signals_are_only_counted_while_held(number: signal.Signals) -> None:
    with interrupts.held() as stop:
        for _ in range(3):
            signal.raise_signal(number)
        assert stop.count == 3
        with pytest.raises(KeyboardInterrupt):
            stop.check()


def test_a_signal_that_came_before_ends_what_waits_for_something_long() -> None:
    with interrupts.held() as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), stop.raising():
            raise AssertionError("it began")
        with stop.raising(beyond=stop.count):
            pass


def test_a_key_held_down_does_not_interrupt_the_cleaning_up() -> None:
    with interrupts.held() as stop:
        with pytest.raises(KeyboardInterrupt), stop.raising():
            signal.raise_signal(signal.SIGINT)
        with stop.raising(beyond=9):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_whose_exception_was_swallowed_can_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "REPEAT_S", 0.01)
    with interrupts.heeded():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.02)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_are_raised_again_after_they_were_held() -> None:
    with interrupts.heeded():
        with interrupts.held():
            signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)


def test_handlers_are_restored_and_what_was_ignored_stays_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.held() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.count == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
