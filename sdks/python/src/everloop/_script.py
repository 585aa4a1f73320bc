"""The command `everloop`: the program that the wheel brought along, or the one that is found."""

from __future__ import annotations

import os
import subprocess
import sys

from .discover import binary
from .errors import EverloopError


def main(arguments: list[str] | None = None) -> int:
    """Becomes the program."""
    try:
        program = binary()
    except EverloopError as error:
        print(f"error: {error}", file=sys.stderr)
        return 6
    command = [program, *(sys.argv[1:] if arguments is None else arguments)]
    if sys.platform != "win32":
        os.execv(program, command)
    return subprocess.call(command)
