"""The end of a run on the terminal: who was measured, what a lab reads aloud, what did not pass, verdict, what next."""

from dgxcert.report.terminal.next_step import Here
from dgxcert.report.terminal.screen import Detail, show
from dgxcert.report.terminal.times import show as show_times

__all__ = ["Detail", "Here", "show", "show_times"]
