"""The `dgxcert` command: each module holds one group of commands, thin over runner, report, history and certificate."""

from dgxcert.cli.app import app, main

__all__ = ["app", "main"]
