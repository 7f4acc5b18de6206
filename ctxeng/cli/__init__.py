"""The command line: parse, call one verb, print.

Starting costs no more than typer; the engine is imported inside the commands.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit with its code; ``None`` takes the process's own arguments."""
    from ctxeng.cli.app import run

    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
