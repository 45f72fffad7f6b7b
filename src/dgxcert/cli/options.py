"""Options and arguments that several commands share, each declared once; the default stays with the command."""

from pathlib import Path
from typing import Annotated

import typer

from dgxcert.machine.runtime import RuntimeChoice

RESULTS = Path("results")
"""The default of `ResultsOption`."""

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder: a folder under results/, or a copy.")]
ProfileOption = Annotated[str, typer.Option(help="Profile name or file; `auto` selects by the GPUs found.")]
ResultsOption = Annotated[Path, typer.Option(help="Folder that holds the run folders.")]
RuntimeOption = Annotated[
    RuntimeChoice, typer.Option(help="Where to work: in the container (docker) or in this environment.")
]
StackOption = Annotated[str, typer.Option(help="The stack to install in the image: course or current.")]
ImageOption = Annotated[str, typer.Option(help="Name of the image; empty means dgxcert:STACK.")]
BaseOption = Annotated[str, typer.Option(help="The base image; empty means the pinned one.")]
BuildOption = Annotated[bool, typer.Option(help="Build the image if it does not match this checkout.")]
