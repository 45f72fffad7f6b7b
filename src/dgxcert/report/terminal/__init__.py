"""The end of a run on the terminal: who was measured, what a lab reads aloud, what did not pass, verdict, what next."""

from dgxcert.report.terminal.next_step import Here
from dgxcert.report.terminal.screen import Detail, show

__all__ = ["Detail", "Here", "show"]
